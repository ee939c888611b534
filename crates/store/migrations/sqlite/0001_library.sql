-- The catalogue is the truth; vectors and jobs follow it.
CREATE TABLE tracks (
    id               INTEGER PRIMARY KEY AUTOINCREMENT, -- an id is never used twice
    version          INTEGER NOT NULL,
    title            TEXT NOT NULL,
    artist           TEXT,
    album            TEXT,
    album_artist     TEXT,
    genre            TEXT,
    genre_tags       TEXT NOT NULL DEFAULT '[]',        -- JSON array, like the two below
    mood_tags        TEXT NOT NULL DEFAULT '[]',
    tags             TEXT NOT NULL DEFAULT '[]',
    year             INTEGER,
    duration         REAL,                              -- seconds
    bpm              REAL,
    key              INTEGER,                           -- semitones above C
    mode             TEXT,
    danceability     REAL,
    energy           REAL,
    valence          REAL,
    acousticness     REAL,
    instrumentalness REAL,
    loudness         REAL,                              -- dB below full scale
    bitrate          INTEGER,
    path             TEXT,
    file_size        INTEGER,
    file_mtime       INTEGER,                           -- nanoseconds since the epoch
    musicbrainz_id   TEXT,
    isrc             TEXT,
    extra            TEXT NOT NULL DEFAULT '{}',
    artist_folded    TEXT NOT NULL,
    name_folded      TEXT NOT NULL,                     -- artist, title, album, separated by U+001F
    content_hash     TEXT NOT NULL,
    metadata_hash    TEXT NOT NULL,
    created_at       INTEGER NOT NULL,                  -- milliseconds since the epoch, as everywhere below
    updated_at       INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX tracks_by_path ON tracks (path) WHERE path IS NOT NULL;
CREATE INDEX tracks_by_musicbrainz_id ON tracks (musicbrainz_id) WHERE musicbrainz_id IS NOT NULL;
CREATE INDEX tracks_by_isrc ON tracks (isrc) WHERE isrc IS NOT NULL;
CREATE INDEX tracks_by_name ON tracks (name_folded);
CREATE INDEX tracks_by_artist ON tracks (artist_folded);

CREATE TABLE spaces (
    name   TEXT PRIMARY KEY,            -- model/dims/revision
    dims   INTEGER NOT NULL,
    wanted INTEGER NOT NULL DEFAULT 0,  -- whether jobs fill it
    vec0   TEXT NOT NULL UNIQUE         -- name of its sqlite-vec table
) STRICT;

CREATE TABLE track_vectors (
    track_id      INTEGER NOT NULL REFERENCES tracks (id) ON DELETE CASCADE,
    space         TEXT NOT NULL REFERENCES spaces (name) ON DELETE CASCADE,
    vector        BLOB NOT NULL,        -- little-endian float32
    content_hash  TEXT NOT NULL,        -- of the track that it was made from
    metadata_hash TEXT NOT NULL,
    metadata      TEXT NOT NULL,        -- JSON, for whoever reads the file; follows the track by trigger
    updated_at    INTEGER NOT NULL,
    PRIMARY KEY (track_id, space)
) STRICT;

CREATE INDEX track_vectors_by_space ON track_vectors (space, track_id);

-- One row a track and space, with the number of its last change: bounded, and enough for an index to catch up.
CREATE TABLE vector_changes (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    track_id INTEGER NOT NULL,
    space    TEXT NOT NULL,
    UNIQUE (track_id, space)
) STRICT;

CREATE INDEX vector_changes_by_space ON vector_changes (space, sequence);

CREATE TRIGGER track_vectors_inserted AFTER INSERT ON track_vectors BEGIN
    DELETE FROM vector_changes WHERE track_id = NEW.track_id AND space = NEW.space;
    INSERT INTO vector_changes (track_id, space) VALUES (NEW.track_id, NEW.space);
END;

CREATE TRIGGER track_vectors_updated AFTER UPDATE ON track_vectors BEGIN
    DELETE FROM vector_changes WHERE track_id = NEW.track_id AND space = NEW.space;
    INSERT INTO vector_changes (track_id, space) VALUES (NEW.track_id, NEW.space);
END;

CREATE TRIGGER track_vectors_deleted AFTER DELETE ON track_vectors BEGIN
    DELETE FROM vector_changes WHERE track_id = OLD.track_id AND space = OLD.space;
    INSERT INTO vector_changes (track_id, space) VALUES (OLD.track_id, OLD.space);
END;

-- Filter data follows the track at once, without embedding again.
CREATE TRIGGER tracks_metadata_updated AFTER UPDATE OF metadata_hash ON tracks
WHEN NEW.metadata_hash <> OLD.metadata_hash BEGIN
    UPDATE track_vectors
    SET metadata_hash = NEW.metadata_hash,
        metadata = json_object('title', NEW.title, 'artist', NEW.artist, 'album', NEW.album, 'genre', NEW.genre,
                               'year', NEW.year, 'bpm', NEW.bpm, 'duration', NEW.duration)
    WHERE track_id = NEW.id;
END;

CREATE TABLE jobs (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    kind         TEXT NOT NULL,
    track_id     INTEGER NOT NULL REFERENCES tracks (id) ON DELETE CASCADE,
    space        TEXT NOT NULL REFERENCES spaces (name) ON DELETE CASCADE,
    priority     INTEGER NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('available', 'running', 'discarded')),
    attempts     INTEGER NOT NULL DEFAULT 0,
    run_at       INTEGER NOT NULL,
    token        INTEGER NOT NULL DEFAULT 0,  -- grows with each claim
    lease_until  INTEGER,
    reason       TEXT,
    created_at   INTEGER NOT NULL
) STRICT;

-- One waiting job a track and space. A running one does not count: a change during a run makes a second job.
CREATE UNIQUE INDEX jobs_waiting ON jobs (track_id, space, kind) WHERE state = 'available';
CREATE INDEX jobs_of_track ON jobs (track_id, space);
CREATE INDEX jobs_to_claim ON jobs (priority, id, run_at) WHERE state = 'available';
CREATE INDEX jobs_leased ON jobs (lease_until) WHERE state = 'running';
CREATE INDEX jobs_by_state ON jobs (state, id);

-- Names for full-text search: whole words, and trigrams, which forgive typing errors.
CREATE VIRTUAL TABLE track_words USING fts5 (
    title, artist, album, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3'
);
CREATE VIRTUAL TABLE track_trigrams USING fts5 (
    name, content = '', contentless_delete = 1, tokenize = 'trigram remove_diacritics 1', detail = none
);

CREATE TRIGGER tracks_inserted AFTER INSERT ON tracks BEGIN
    INSERT INTO track_words (rowid, title, artist, album) VALUES (NEW.id, NEW.title, NEW.artist, NEW.album);
    INSERT INTO track_trigrams (rowid, name) VALUES (NEW.id, NEW.name_folded);
END;

CREATE TRIGGER tracks_renamed AFTER UPDATE OF title, artist, album ON tracks
WHEN NEW.title IS NOT OLD.title OR NEW.artist IS NOT OLD.artist OR NEW.album IS NOT OLD.album BEGIN
    DELETE FROM track_words WHERE rowid = OLD.id;
    DELETE FROM track_trigrams WHERE rowid = OLD.id;
    INSERT INTO track_words (rowid, title, artist, album) VALUES (NEW.id, NEW.title, NEW.artist, NEW.album);
    INSERT INTO track_trigrams (rowid, name) VALUES (NEW.id, NEW.name_folded);
END;

CREATE TRIGGER tracks_deleted AFTER DELETE ON tracks BEGIN
    DELETE FROM track_words WHERE rowid = OLD.id;
    DELETE FROM track_trigrams WHERE rowid = OLD.id;
END;
