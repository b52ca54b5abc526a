-- How fresh is the mirror?
--
-- object: what is mirrored
-- state: ok, syncing, stale, failed or unavailable
-- row_count: rows of it
-- newest_row: time of the newest one, UTC
-- last_error: the last failure, if it has not succeeded since
--
-- Also there: last_complete_at, lag_seconds and last_error_advice.

select s.object, s.state, s.rows as row_count, s.newest_row, s.last_error
from sync_status s
order by s.object;
