from django.db import transaction
from django.http import JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.views import View
from django.views.generic import CreateView, DetailView, UpdateView

from .models import Article, Import


class CancelImport(View):
    def post(self, request, pk):
        found = get_object_or_404(Import, pk=pk)
        if found.status == "RUNNING":
            found.status = "CANCELLED"  # finds JL102
            found.save(update_fields=["status"])
        return redirect("imports")


class CancelRight(View):
    def post(self, request, pk):
        changed = Import.objects.filter(pk=pk, status="RUNNING").update(status="CANCELLED")
        return JsonResponse({"cancelled": changed == 1})


class CancelLocked(View):
    def post(self, request, pk):
        with transaction.atomic():
            found = get_object_or_404(Import.objects.select_for_update(), pk=pk)
            found.status = "CANCELLED"
            found.save()
        return redirect("imports")


class ImportDetail(DetailView):
    model = Import

    def post(self, request, *args, **kwargs):
        self.object = self.get_object()
        self.object.title = request.POST["title"]
        self.object.save()  # finds JL103
        return redirect("imports")


class CountRow(View):
    def post(self, request, pk):
        row = Import.objects.get(pk=pk)
        row.rows_done += 1  # finds JL106
        row.save(update_fields=["rows_done"])
        return JsonResponse({})


class NewImport(CreateView):
    model = Import
    fields = ["title"]

    def form_valid(self, form):
        self.object = form.save(commit=False)
        self.object.status = "CREATED"
        self.object.save()
        return redirect("imports")


class EditArticle(UpdateView):
    """Nobody but its author writes an article."""

    model = Article
    fields = ["title"]

    def form_valid(self, form):
        article = self.get_object()
        article.status = "published"
        article.settings["pinned"] = True
        article.save()
        return redirect("articles")
