-- How many claims ended without a word: whoever held the job may have died of it.
ALTER TABLE jobs ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;
