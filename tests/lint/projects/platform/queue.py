import redis

client = redis.Redis()


def drop_stream(job_id):
    client.delete(f"job:{job_id}")
