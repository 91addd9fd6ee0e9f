-- purpose: grant a lease on items of ranges that the caller has locked, and read everything that
--          their worker needs; the caller takes the items out of the queue
-- guard: the job is claimable, it and the owner are within their caps, the caller has taken the limits of
--        the job's rate and of its pipeline into account if there are any, the worker is not revoked, and
--        the key is unused: read in this statement, after the ranges were locked
-- locks: none of its own; the transaction holds the database's write lock
INSERT INTO joblot_lease (
    token, job_id, run, stage, state, size, open, ranges, gone, worker, owner, idempotency_key,
    asked, claimed_at, expires_at
)
SELECT %(token)s, j.id, j.run, %(stage)s, {LIVE}, %(size)s, %(size)s, %(ranges)s, '[]',
       %(worker)s, %(owner)s, %(idempotency_key)s, %(asked)s, {now},
       strftime('%%Y-%%m-%%d %%H:%%M:%%f', {now}, j.lease_seconds || ' seconds')
FROM (
    SELECT id, run, status, json_extract(policy, '$.lease_seconds') AS lease_seconds,
           json_extract(policy, '$.in_flight_items_max') AS items_max,
           json_extract(policy, '$.rate_items_max') IS NOT NULL AS rated,
           (
               SELECT p.pipeline
               FROM joblot_stage s
               JOIN joblot_pipeline_limit p ON p.pipeline = s.pipeline
               WHERE s.job_id = joblot_job.id AND s.position = %(stage)s
                 AND (p.rate_items_max IS NOT NULL OR p.in_flight_items_max IS NOT NULL)
           ) AS limited
    FROM joblot_job
) j
WHERE j.id = %(job)s AND j.status IN ({CLAIMABLE}) AND (NOT j.rated OR %(rated)s)
  AND (j.limited IS NULL OR j.limited = %(limited)s)
  AND (j.items_max IS NULL OR (
      SELECT COALESCE(sum(l.open), 0) FROM joblot_lease l {by_state}
      WHERE l.job_id = %(job)s AND l.state = {LIVE}
  ) < j.items_max)
  AND (%(owner_items_max)s IS NULL OR (
      SELECT COALESCE(sum(l.open), 0) FROM joblot_lease l
      WHERE l.owner = %(owner)s AND l.state = {LIVE}
  ) < %(owner_items_max)s)
  AND NOT EXISTS (
      SELECT 1 FROM joblot_worker w
      WHERE w.owner = COALESCE(%(owner)s, 0) AND w.instance = %(worker)s
            AND w.revoked_at IS NOT NULL
  )
ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
RETURNING run, expires_at,
    (SELECT j.status FROM joblot_job j WHERE j.id = job_id),
    (SELECT j.version FROM joblot_job j WHERE j.id = job_id),
    (SELECT j.config FROM joblot_job j WHERE j.id = job_id),
    (SELECT j.trace FROM joblot_job j WHERE j.id = job_id),
    (SELECT json_extract(j.policy, '$.lease_seconds') FROM joblot_job j WHERE j.id = job_id),
    (SELECT s.name FROM joblot_stage s WHERE s.job_id = %(job)s AND s.position = %(stage)s),
    (SELECT s.pipeline FROM joblot_stage s WHERE s.job_id = %(job)s AND s.position = %(stage)s),
    (SELECT json_group_array(json_array(i.number, i.key, i.payload))
     FROM json_each(%(numbers)s) AS asked
     CROSS JOIN joblot_item i ON i.job_id = %(job)s AND i.number = asked.value)
