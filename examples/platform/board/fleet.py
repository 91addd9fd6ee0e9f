"""A worker of the older fleet, as its protocol has it: it has never heard of joblot.

`python -m board.fleet` goes on for ever, with JOBLOT_URL and JOBLOT_TOKEN.
"""

import os
import time

import httpx

from board.work import detect


def work_off(url, token, polls_max=1000):
    """Poll for jobs and process their tasks until nothing is listed; returns how many."""
    done = 0
    headers = {"Authorization": f"Token {token}"}
    with httpx.Client(base_url=f"{url}/antenna/api/v2/", headers=headers, timeout=60) as server:
        for _ in range(polls_max):
            jobs = _listed(server)
            if not jobs:
                break
            for job in jobs:
                tasks = server.post(f"jobs/{job['id']}/tasks/", json={"batch_size": 24})
                results = [_result(task) for task in tasks.json()["tasks"]]
                if results:
                    server.post(f"jobs/{job['id']}/result/", json={"results": results})
                done += len(results)
    return done


def _listed(server):
    asked = {"pipeline__slug__in": "moths", "ids_only": 1, "incomplete_only": 1}
    return server.get("jobs", params=asked).raise_for_status().json()["results"]


def _result(task):
    try:
        found = {
            "source_images": [{"id": task["id"], "url": task["image_url"]}],
            "detections": detect(task["image_url"]),
        }
    except ValueError as error:
        found = {"error": str(error), "image_id": task["image_id"]}
    return {"reply_subject": task["reply_subject"], "result": found}


if __name__ == "__main__":
    while True:
        work_off(os.environ["JOBLOT_URL"], os.environ["JOBLOT_TOKEN"])
        time.sleep(0.2)
