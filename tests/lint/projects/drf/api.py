import httpx
from django.db import transaction
from django.db.models import F
from rest_framework import serializers, viewsets
from rest_framework.decorators import action, api_view
from rest_framework.response import Response

from .models import ExportTask


class ExportSerializer(serializers.ModelSerializer):
    class Meta:
        model = ExportTask
        fields = ["state", "percent"]

    def update(self, instance: ExportTask, validated_data):
        instance.percent = validated_data["percent"]
        instance.save()  # finds JL103
        return instance


class ExportViewSet(viewsets.ModelViewSet):
    queryset = ExportTask.objects.all()
    serializer_class = ExportSerializer

    def perform_create(self, serializer):
        export = serializer.save()
        export.state = "queued"
        export.save()

    @action(detail=True, methods=["post"])
    def stop(self, request, pk=None):
        export = self.get_object()
        export.state = "stopped"  # finds JL102
        export.save()
        return Response({"state": export.state})

    @action(detail=True, methods=["post"])
    def report(self, request, pk=None):
        export = self.get_object()
        stats = export.stats or {}
        stats["rows"] = stats.get("rows", 0) + request.data["rows"]  # finds JL101
        export.stats = stats  # finds JL101
        export.save(update_fields=["stats"])
        return Response(export.stats)

    @action(detail=True, methods=["post"])
    def notify(self, request, pk=None):
        with transaction.atomic():
            export = self.get_queryset().select_for_update().get(pk=pk)
            with httpx.Client() as client:
                client.post("https://hooks.example/", json={"id": export.pk})  # finds JL104
            transaction.on_commit(lambda: httpx.post("https://hooks.example/after"))
            export.state = "told"
            export.save()
        return Response({})


@api_view(["POST"])
def tick(request, pk):
    ExportTask.objects.filter(pk=pk).update(percent=F("percent") + 1)
    ExportTask.objects.filter(pk=pk, state__in=["queued", "running"]).update(state="running")
    return Response({})
