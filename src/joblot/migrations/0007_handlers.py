import django.db.models.deletion
from django.db import migrations, models
from django.db.models.functions import Now

JOBS = (
    "UPDATE joblot_delivery SET job_id = coalesce("
    "(SELECT job_id FROM joblot_event e WHERE e.id = event_id), 0)"
)


class Migration(migrations.Migration):

    dependencies = [
        ('joblot', '0006_lease_expiry_index'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='event',
            index=models.Index(condition=models.Q(('dispatched_at__isnull', True)), fields=['job', 'id'], name='joblot_event_first'),
        ),
        migrations.AddField(
            model_name='delivery',
            name='job',
            field=models.ForeignKey(db_constraint=False, db_index=False, default=0, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='joblot.job'),
            preserve_default=False,
        ),
        migrations.RunSQL(JOBS, migrations.RunSQL.noop),
        migrations.AddField(
            model_name='delivery',
            name='tries',
            field=models.IntegerField(db_default=0),
        ),
        migrations.AddField(
            model_name='delivery',
            name='next_try_at',
            field=models.DateTimeField(db_default=Now()),
        ),
        migrations.AddField(
            model_name='delivery',
            name='started_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='delivery',
            name='error',
            field=models.TextField(default=''),
        ),
        migrations.AlterField(
            model_name='delivery',
            name='delivered_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('delivered_at__isnull', True)), fields=['handler', 'event_id'], name='joblot_delivery_open'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('delivered_at__isnull', True)), fields=['job', 'handler', 'event_id'], name='joblot_delivery_first'),
        ),
    ]
