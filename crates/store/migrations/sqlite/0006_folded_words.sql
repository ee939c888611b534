-- Words are looked up as they are asked for: folded. As they were written, full-width letters, kana with marks and short words of
-- Hangul were not found by their own names.
DROP TRIGGER tracks_inserted;
DROP TRIGGER tracks_renamed;
DROP TABLE track_words;

CREATE VIRTUAL TABLE track_words USING fts5 (
    name, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3'
);
INSERT INTO track_words (rowid, name) SELECT id, name_folded FROM tracks;

CREATE TRIGGER tracks_inserted AFTER INSERT ON tracks BEGIN
    INSERT INTO track_words (rowid, name) VALUES (NEW.id, NEW.name_folded);
    INSERT INTO track_trigrams (rowid, name) VALUES (NEW.id, NEW.name_folded);
END;

CREATE TRIGGER tracks_renamed AFTER UPDATE OF name_folded ON tracks WHEN NEW.name_folded IS NOT OLD.name_folded BEGIN
    DELETE FROM track_words WHERE rowid = OLD.id;
    DELETE FROM track_trigrams WHERE rowid = OLD.id;
    INSERT INTO track_words (rowid, name) VALUES (NEW.id, NEW.name_folded);
    INSERT INTO track_trigrams (rowid, name) VALUES (NEW.id, NEW.name_folded);
END;
