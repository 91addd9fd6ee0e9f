from django.urls import include, path

from board import views

urlpatterns = [
    path("surveys/<int:pk>/", views.old_page),
    path("surveys/<int:pk>/live/", views.live),
    path("surveys/<int:pk>/cancel/", views.cancel_survey),
    path("", include("joblot.api.urls")),
    path("", include("joblot.contrib.antenna.urls")),
]
