from celery import Celery, Task
from django.db import transaction


class AfterCommit(Task):
    def delay(self, *args):
        transaction.on_commit(lambda: super(AfterCommit, self).delay(*args))


app = Celery(task_cls=AfterCommit)


@app.task
def tell(pk):
    return pk
