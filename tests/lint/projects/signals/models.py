from django.contrib.auth.models import User
from django.db import models
from django.db.models.signals import post_save
from django.dispatch import receiver


class Profile(models.Model):
    user = models.OneToOneField(User, on_delete=models.CASCADE)
    uploads = models.IntegerField(default=0)


class Upload(models.Model):
    status = models.CharField(max_length=20)
    bytes_done = models.BigIntegerField(default=0)
    owner = models.ForeignKey(Profile, on_delete=models.CASCADE)


@receiver(post_save, sender=User)
def create_profile(sender, instance, created, **kwargs):
    if created:
        Profile.objects.create(user=instance)
    instance.profile.save()  # finds JL105


@receiver(post_save, sender=Upload)
def count_upload(sender, instance, created, **kwargs):
    if created:
        instance.owner.uploads += 1
    instance.status = "stored"  # finds JL102
    instance.save()  # finds JL105


@receiver(post_save, sender=Upload)
def count_rightly(sender, instance, created, **kwargs):
    if created:
        Profile.objects.filter(pk=instance.owner_id).update(uploads=models.F("uploads") + 1)
    Upload.objects.filter(pk=instance.pk, status="receiving").update(status="stored")
