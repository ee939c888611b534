"""Tempo and key of styles that nothing was learnt from: what fitted constants are worth on music of another kind. See bench/sound_train.py."""

import numpy as np

import sound_train


def report(entries, heard, folds=3):
    """Leaves a third of the styles out, fits on the others, and asks about those; all thirds in turn."""
    styles = sorted({entry["style"] for entry in entries})
    exact, octave, keys, first = [], [], [], []
    for fold in range(folds):
        held = set(styles[fold::folds])
        learnt = [pair for pair in zip(entries, heard) if pair[0]["style"] not in held]
        known = [list(part) for part in zip(*learnt)]
        tempo, key = sound_train.fit_tempo(*known), sound_train.fit_key(*known)
        for entry, answer in zip(entries, heard):
            if entry["style"] not in held or not answer["raw"]["candidates"]:
                continue
            ratio = max(answer["raw"]["candidates"], key=lambda c: sound_train.tempo_score(tempo, c[2]))[0] / entry["tempo"]
            exact.append(abs(ratio - 1) <= sound_train.TOLERANCE)
            octave.append(any(abs(ratio / r - 1) <= sound_train.TOLERANCE for r in (1, 2, 1 / 2, 3, 1 / 3)))
            keys.append((sound_train.key_rows([answer])[0] @ key).argmax() == sound_train.key_truth(entry))
            first.append(abs(answer["raw"]["candidates"][0][0] / entry["tempo"] - 1) <= sound_train.TOLERANCE)
    print(f"styles not learnt from, {len(exact)} clips: tempo {np.mean(exact):.3f}, octaves allowed {np.mean(octave):.3f}, key {np.mean(keys):.3f}; "
          f"the best fit without anything learnt: tempo {np.mean(first):.3f}")
