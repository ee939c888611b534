-- All that counting jobs asks for: with the ids in it instead, each count read every job.
DROP INDEX jobs_by_state;
CREATE INDEX jobs_by_state ON jobs (kind, state, run_at);
