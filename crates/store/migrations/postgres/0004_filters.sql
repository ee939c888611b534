-- What filters ask: which tracks pass is found without reading all of them.
CREATE INDEX tracks_by_year ON tracks (year);
CREATE INDEX tracks_by_bpm ON tracks (bpm);
CREATE INDEX tracks_by_duration ON tracks (duration);
CREATE INDEX tracks_by_genre ON tracks USING gin (genres_folded);
CREATE INDEX tracks_by_tag ON tracks USING gin (tags_folded);
