-- purpose: the rights of a token, by the public part of its text
-- guard: it is neither revoked nor expired
-- locks: none
SELECT id, secret_hash, name, scopes, projects, pipelines, in_flight_items_max,
       requests_per_minute_max, body_bytes_max
FROM joblot_token
WHERE public_id = %(public_id)s AND revoked_at IS NULL
  AND (expires_at IS NULL OR expires_at > {now})
