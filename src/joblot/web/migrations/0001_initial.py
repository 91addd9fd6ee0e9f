import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Membership',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('project', models.CharField(blank=True, max_length=200, null=True)),
                ('role', models.CharField(choices=[('reader', 'Reader'), ('operator', 'Operator')], default='reader', max_length=8)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='joblot_memberships', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'permissions': (('view_jobs', 'Can see the jobs of all projects'), ('operate_jobs', 'Can see and operate the jobs of all projects')),
                'constraints': [models.UniqueConstraint(fields=('user', 'project'), name='joblot_web_in_project'), models.UniqueConstraint(condition=models.Q(('project', None)), fields=('user',), name='joblot_web_in_all')],
            },
        ),
    ]
