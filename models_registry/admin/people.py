"""Users, groups and background tasks: other apps' pages in the same clothes as ours."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django_celery_results.models import GroupResult, TaskResult
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.paginator import InfinitePaginator

from models_registry.admin.registry import ReadOnly

for model in (User, Group, TaskResult, GroupResult):
    admin.site.unregister(model)


@admin.register(User)
class OurUserAdmin(UserAdmin, ModelAdmin):  # type: ignore[type-arg]
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class OurGroupAdmin(GroupAdmin, ModelAdmin):
    pass


@admin.register(TaskResult)
class TaskAdmin(ReadOnly, ModelAdmin):
    """What ran in the background: publishing, retention, export."""

    list_display = ["task_name", "state", "date_created", "date_done", "worker"]
    list_filter = ["status"]
    search_fields = ["=task_id", "=task_name"]
    ordering = ["-id"]
    fields = ["task_id", "task_name", "status", "task_args", "task_kwargs", "result", "traceback", "date_done"]
    show_full_result_count = False
    paginator = InfinitePaginator

    @display(description="status", label={"SUCCESS": "success", "FAILURE": "danger", "STARTED": "info"})
    def state(self, task: Any) -> str:
        return str(task.status)
