"""Found by `joblot_worker`: it serves every queue of this project's back-ends."""

from joblot.contrib.tasks.backend import queues
from joblot.contrib.tasks.calls import pipeline_of
from joblot.contrib.tasks.running import working
from joblot.worker.handlers import declare

for queue in queues():
    declare(pipeline_of(queue), working)
