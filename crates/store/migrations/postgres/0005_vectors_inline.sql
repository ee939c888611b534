-- Vectors stay in their rows, up to a page. From 2 kB a row on, PostgreSQL moves values elsewhere, and each comparison looks
-- them up there: one of 768 numbers took 2.4 times as long. Rows written before stay as they are.
ALTER TABLE track_vectors SET (toast_tuple_target = 8160);
