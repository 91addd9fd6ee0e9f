-- purpose: the leases through which an item was settled, by stage
-- guard: none; a read
-- locks: none
SELECT o.stage, l.worker, l.claimed_at, l.run FROM joblot_stage s
CROSS JOIN joblot_outcome o
CROSS JOIN joblot_lease l
WHERE s.job_id = %(job)s AND o.job_id = s.job_id AND o.stage = s.position
  AND o.number = %(number)s AND l.token = o.lease_token
