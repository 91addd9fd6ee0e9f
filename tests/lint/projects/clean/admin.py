from django.contrib import admin

from .models import Job


@admin.register(Job)
class JobAdmin(admin.ModelAdmin):
    actions = ["revoke"]

    @admin.action(description="Revoke")
    def revoke(self, request, queryset):
        queryset.filter(status__in=["STARTED", "PENDING"]).update(status="REVOKED")

    def save_model(self, request, obj, form, change):
        obj.token = obj.token.strip()
        super().save_model(request, obj, form, change)
