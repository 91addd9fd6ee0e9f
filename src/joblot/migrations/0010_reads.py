from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("joblot", "0009_removal")]
    operations = [
        migrations.AddIndex(
            model_name="outcome",
            index=models.Index(
                condition=models.Q(("state__in", [2, 3])),
                fields=["job", "number"],
                name="joblot_outcome_given_up",
            ),
        ),
        migrations.AddConstraint(
            model_name="event",
            constraint=models.UniqueConstraint(
                condition=models.Q(("kind", "pending")),
                fields=("job", "run"),
                name="joblot_event_pending_once",
            ),
        ),
    ]
