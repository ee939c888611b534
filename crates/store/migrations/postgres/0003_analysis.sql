-- What is known of tracks' audio. The columns that both tags and measurements speak of hold what counts; `filled` names
-- those that were measured, so that what the tags say is known too.
ALTER TABLE tracks
    ADD COLUMN audio_hash        TEXT,                      -- of the encoded audio without its tags
    ADD COLUMN analysis_revision TEXT,
    ADD COLUMN analyzed_file     TEXT,                      -- file_hash of the file that was analysed
    ADD COLUMN measured          TEXT,                      -- JSON: name → value and confidence
    ADD COLUMN filled            TEXT NOT NULL DEFAULT '',  -- names, separated by spaces
    -- Fingerprint of the file, which vectors in the sound space are made of; in domain, ContentHash::of_file.
    ADD COLUMN file_hash         TEXT GENERATED ALWAYS AS
        (CASE WHEN path IS NOT NULL THEN lpad(to_hex(coalesce(file_size, 0)), 16, '0')
                                      || lpad(to_hex(coalesce(file_mtime, 0)), 16, '0') END) STORED;

CREATE INDEX tracks_by_audio ON tracks USING hash (audio_hash);

-- What was told to the library as a whole and holds until it is taken back: 'analysis_paused'.
CREATE TABLE switches (
    name TEXT PRIMARY KEY
);
