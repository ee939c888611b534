#!/usr/bin/env python3
"""Make pieces of music whose tempo, key and instruments are known: our own MIDI, rendered by fluidsynth, encoded by ffmpeg.

    python3 bench/sound_corpus.py --seed 1 --clips 320 --to .cache/bench/sound/1

writes the audio files and `clips.jsonl`, one object a clip: file, tempo (BPM; of rubato the mean), tonic (semitones above C), mode, style,
ensemble, codec, rate, channels, and, for variants of one piece, `piece` and `variant`. The same seed gives the same music. Needs
fluidsynth, a General MIDI soundfont (fluid-soundfont-gm) and ffmpeg.

Nothing is made easy: a third of the clips has no drums; waltzes, swing, half-time and rubato are among the styles; a quarter is out of
tune by up to 30 cents; tempi are spread over each style's usual range; melodies syncopate and leave the scale now and then.
"""

import argparse
import concurrent.futures
import json
import os
import random
import struct
import subprocess
import sys
import tempfile

TICKS = 480
SOUNDFONTS = ("/usr/share/sounds/sf2/FluidR3_GM.sf2", "/usr/share/sounds/sf2/TimGM6mb.sf2", "/usr/share/sounds/sf2/default-GM.sf2")
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
# Degrees of the scale, one chord a bar. A capital V in minor is the dominant with its leading note. Each says which key it is: the same
# chords are not in two lists, as those of C major's 6 4 1 5 and A minor's 1 6 3 7 would be.
PROGRESSIONS = {
    "major": ("1 5 6 4", "1 6 4 5", "1 4 5 1", "1 4 1 5", "2 5 1 1", "1 3 4 5", "1 4 2 5", "1 2 5 1"),
    "minor": ("1 6 4 V", "1 4 V 1", "1 7 6 V", "1 6 4 V", "2 V 1 1", "1 4 7 V", "1 4 1 V", "1 1 6 V"),
}
# General MIDI programs, from 0: chords, bass, melody; whether there are drums.
ENSEMBLES = {
    "rock band": (29, 33, 27, True), "metal band": (30, 34, 30, True), "disco": (4, 38, 62, True), "house": (81, 38, 80, True),
    "jazz trio": (0, 32, 66, True), "string quartet": (48, 42, 40, False), "solo piano": (0, 0, 0, False),
    "folk guitar": (25, 25, 73, False), "bossa": (24, 32, 73, True), "drum and bass": (89, 39, 81, True), "reggae": (27, 33, 17, True),
    "organ": (19, 19, 19, False), "brass": (61, 58, 56, True), "pads": (89, 88, 91, False), "country": (25, 32, 22, True),
    "orchestra": (48, 43, 68, False),
}
# style: ensemble(s), lowest and highest tempo, beats a bar, swing (share of a beat that its first half takes)
STYLES = {
    "rock": (("rock band", "country"), 84, 160, 4, 0.5), "metal": (("metal band",), 100, 190, 4, 0.5),
    "disco": (("disco",), 100, 134, 4, 0.5), "house": (("house",), 116, 136, 4, 0.5), "swing": (("jazz trio",), 110, 190, 4, 0.66),
    "waltz": (("string quartet", "solo piano", "orchestra"), 84, 180, 3, 0.5), "half-time": (("house", "rock band"), 124, 170, 4, 0.5),
    "rubato": (("solo piano",), 60, 110, 4, 0.5), "fingerpicking": (("folk guitar",), 72, 140, 4, 0.5),
    "bossa nova": (("bossa",), 110, 150, 4, 0.5), "drum and bass": (("drum and bass",), 160, 190, 4, 0.5),
    "reggae": (("reggae",), 62, 96, 4, 0.5), "chorale": (("organ", "string quartet", "brass"), 60, 100, 4, 0.5),
    "march": (("brass",), 100, 130, 2, 0.5), "ambient": (("pads",), 60, 100, 4, 0.5), "ballad": (("solo piano", "rock band"), 60, 82, 4, 0.5),
    "adagio": (("orchestra",), 60, 90, 4, 0.5), "shuffle": (("country", "rock band"), 90, 140, 4, 0.66),
}
# Codec, ffmpeg's arguments, ending, sample rate, channels.
FORMATS = (
    ("MP3", ("-c:a", "libmp3lame", "-b:a", "128k"), "mp3", 44100, 2), ("MP3", ("-c:a", "libmp3lame", "-q:a", "2"), "mp3", 48000, 2),
    ("MP3", ("-c:a", "libmp3lame", "-b:a", "64k"), "mp3", 22050, 1), ("FLAC", ("-c:a", "flac", "-sample_fmt", "s16"), "flac", 44100, 2),
    ("FLAC", ("-c:a", "flac", "-sample_fmt", "s32"), "flac", 96000, 2), ("Vorbis", ("-c:a", "libvorbis", "-q:a", "4"), "ogg", 44100, 2),
    ("Vorbis", ("-c:a", "libvorbis", "-q:a", "2"), "ogg", 48000, 1), ("AAC", ("-c:a", "aac", "-b:a", "128k"), "m4a", 44100, 2),
    ("Opus", ("-c:a", "libopus", "-b:a", "96k"), "opus", 48000, 2), ("PCM", ("-c:a", "pcm_s16le"), "wav", 32000, 2),
    ("ALAC", ("-c:a", "alac"), "m4a", 44100, 1), ("FLAC", ("-c:a", "flac", "-sample_fmt", "s16"), "flac", 48000, 6),
)


class Midi:
    """Notes by time in beats, written as a file of format 0."""

    def __init__(self, cents=0.0):
        self.events = []  # (beat, order, bytes)
        self.cents = cents

    def program(self, channel, number):
        self.events.append((0, 0, bytes((0xC0 | channel, number))))
        if self.cents and channel != 9:
            bend = 8192 + round(self.cents / 200 * 8192)
            self.events.append((0, 1, bytes((0xE0 | channel, bend & 127, bend >> 7))))

    def level(self, channel, volume, pan=64):
        for control, value in ((7, volume), (10, pan), (91, 30)):
            self.events.append((0, 1, bytes((0xB0 | channel, control, value))))

    def note(self, channel, beat, length, pitch, velocity):
        if length <= 0:
            return
        pitch, velocity = max(0, min(127, pitch)), max(1, min(127, round(velocity)))
        self.events.append((beat, 3, bytes((0x90 | channel, pitch, velocity))))
        self.events.append((beat + length, 2, bytes((0x80 | channel, pitch, 0))))

    def tempo(self, beat, bpm):
        self.events.append((beat, 0, b"\xff\x51\x03" + round(60e6 / bpm).to_bytes(3, "big")))

    def bytes(self):
        track, last = bytearray(), 0
        for beat, _, event in sorted(self.events, key=lambda event: (event[0], event[1])):
            tick = max(last, round(beat * TICKS))
            delta, last = tick - last, tick
            parts = [delta & 127]
            while delta := delta >> 7:
                parts.append(delta & 127 | 128)
            track += bytes(reversed(parts)) + event
        track += b"\x00\xff\x2f\x00"
        return b"MThd" + struct.pack(">IHHH", 6, 0, 1, TICKS) + b"MTrk" + struct.pack(">I", len(track)) + bytes(track)


class Piece:
    """One piece: what it is, and how it is played at a given tempo, key and tuning."""

    def __init__(self, seed, style):
        self.seed, self.style = seed, style
        pick = random.Random(f"piece {seed}")
        ensembles, low, high, self.beats, self.swing = STYLES[style]
        self.ensemble = pick.choice(ensembles)
        self.tempo = round(pick.uniform(low, high), 2)
        self.tonic, self.mode = pick.randrange(12), pick.choice(("major", "minor"))
        self.cents = round(pick.uniform(-30, 30), 1) if pick.random() < 0.25 else 0.0
        self.volume = pick.uniform(0.2, 1.0)

    def chord(self, numeral):
        """Semitones above the tonic: root, third, fifth."""
        scale = SCALES[self.mode]
        if numeral == "V":
            return (7, 11, 14)
        degree = int(numeral) - 1
        return tuple(scale[(degree + step) % 7] + 12 * ((degree + step) // 7) for step in (0, 2, 4))

    def play(self, seconds, faster=1.0, higher=0):
        play = random.Random(f"play {self.seed}")
        tempo = self.tempo * faster
        midi = Midi(self.cents)
        chords, bass, melody, has_drums = ENSEMBLES[self.ensemble]
        for channel, number, volume, pan in ((0, chords, 80, 50), (1, bass, 92, 64), (2, melody, 88, 78)):
            midi.program(channel, number)
            midi.level(channel, volume, pan)
        midi.level(9, play.randint(70, 110))
        bars = int(seconds * 1.3 * self.tempo / 60 / self.beats) + 2
        if self.style == "rubato":
            self.rubato(midi, play, tempo, bars * self.beats)
        else:
            midi.tempo(0, tempo)
        numerals = play.choice(PROGRESSIONS[self.mode]).split()
        other = play.choice(PROGRESSIONS[self.mode]).split()
        start = play.choice((0, 0, 0.5)) if not has_drums else 0
        for bar in range(bars):
            numeral = (other if bar % 16 >= 8 else numerals)[bar % 4]
            at = start + bar * self.beats
            root = 42 + (self.tonic + 6) % 12 + higher
            self.bar(midi, play, at, bar, [root + tone for tone in self.chord(numeral)], root)
            if has_drums:
                self.drums(midi, play, at, bar)
        return midi

    def rubato(self, midi, play, tempo, beats):
        drift = 0.0
        factors = []
        for _ in range(beats):
            drift = 0.7 * drift + play.gauss(0, 0.06)
            factors.append(max(0.75, min(1.3, 1 + drift)))
        # The mean beat lasts as long as the tempo says.
        mean = sum(1 / factor for factor in factors) / len(factors)
        for beat, factor in enumerate(factors):
            midi.tempo(beat, tempo * factor * mean)

    def off(self, half):
        """Where the half of a beat is, straight or swung."""
        return half // 2 + (self.swing if half % 2 else 0)

    def bar(self, midi, play, at, bar, chord, root):
        style, beats = self.style, self.beats
        loud = lambda base: base + play.randint(-8, 8)
        if style in ("waltz",):
            midi.note(1, at, 0.9, chord[0] - 12, loud(90))
            for beat in (1, 2):
                for tone in chord:
                    midi.note(0, at + beat, 0.6, tone + 12, loud(66))
        elif style in ("fingerpicking", "rubato") or (style == "ballad" and self.ensemble == "solo piano"):
            pattern = play.choice(((0, 2, 1, 2), (0, 1, 2, 1)))
            midi.note(1, at, beats, chord[0] - 12, loud(84))
            for half in range(2 * beats):
                midi.note(0, at + half / 2, 1.0, chord[pattern[half % 4]] + 12, loud(70))
        elif style in ("ambient", "adagio", "chorale"):
            if style == "chorale":
                for beat in range(beats):
                    inversion = [chord[0] + 12, chord[1], chord[2]] if beat % 2 else chord
                    for tone in inversion:
                        midi.note(0, at + beat, 0.95, tone + 12, loud(74))
                    midi.note(1, at + beat, 0.95, chord[(0, 0, 2, 0)[beat % 4]] - 12, loud(80))
            else:
                for tone in chord:
                    midi.note(0, at, beats, tone + 12, loud(72))
                midi.note(1, at, beats, chord[0] - 12, loud(76))
                if style == "ambient":
                    for half in range(0, 2 * beats, 2):
                        midi.note(0, at + half / 2, 1.0, chord[play.randrange(3)] + 24, loud(58))
        elif style == "swing":
            scale = [root + step for step in SCALES[self.mode]]
            walk = [chord[0], chord[1], chord[2], play.choice(scale)]
            for beat in range(beats):
                midi.note(1, at + beat, 0.9, walk[beat] - 12, loud(88))
            for half in play.choice(((1, 4), (0, 3), (3, 6))):
                for tone in (*chord, chord[2] + (3 if self.mode == "minor" else 4)):
                    midi.note(0, at + self.off(half), 0.5, tone + 12, loud(66))
        elif style == "reggae":
            for beat in (1, 3):
                for tone in chord:
                    midi.note(0, at + beat, 0.25, tone + 12, loud(80))
                if bar % 2:
                    for tone in chord:
                        midi.note(0, at + beat + 0.5, 0.2, tone + 12, loud(58))
            for half, tone in play.choice((((0, 0), (3, 0), (4, 2), (6, 1)), ((0, 0), (2, 1), (3, 2), (5, 0)))):
                midi.note(1, at + half / 2, 0.45, chord[tone] - 12, loud(98))
        elif style in ("bossa nova",):
            for half in (0, 3, 6) if bar % 2 == 0 else (2, 5):
                for tone in chord:
                    midi.note(0, at + half / 2, 0.6, tone + 12, loud(70))
            for beat, tone in ((0, 0), (1.5, 2), (2, 2), (3.5, 0)):
                midi.note(1, at + beat, 0.6, chord[tone] - 12, loud(86))
        elif style == "march":
            midi.note(1, at, 0.5, chord[0] - 12, loud(96))
            midi.note(1, at + 1, 0.5, chord[2] - 24, loud(90))
            for half in (1, 3):
                for tone in chord:
                    midi.note(0, at + half / 2, 0.3, tone + 12, loud(76))
        elif style in ("disco", "house"):
            for half in range(2 * beats):
                midi.note(1, at + half / 2, 0.4, chord[0] - 12 + (12 if style == "disco" and half % 2 else 0), loud(92))
            for half in (1, 3, 5, 7) if style == "house" else (0, 3, 6):
                for tone in chord:
                    midi.note(0, at + half / 2, 0.45, tone + 12, loud(72))
        elif style in ("half-time", "drum and bass"):
            for tone in chord:
                midi.note(0, at, beats, tone + 12, loud(64))
            for half in play.choice(((0, 3, 6), (0, 5), (0, 3, 7))):
                midi.note(1, at + half / 2, 0.8, chord[0] - 12, loud(98))
        else:  # rock, metal, shuffle, ballad with a band
            power = (chord[0], chord[2], chord[0] + 12) if style == "metal" else chord
            halves = range(2 * beats) if style != "ballad" else range(0, 2 * beats, 4)
            for half in halves:
                for tone in power:
                    midi.note(0, at + self.off(half), 0.45 if style != "ballad" else 2, tone, loud(70 if half % 2 else 80))
            for half in range(2 * beats):
                midi.note(1, at + self.off(half), 0.45, chord[0] - 12, loud(90))
        self.melody(midi, play, at, bar, chord, root)

    def melody(self, midi, play, at, bar, chord, root):
        if play.random() < 0.2:
            return
        slow = self.style in ("ambient", "adagio", "chorale")
        scale = [root + 12 * octave + step for octave in (1, 2) for step in SCALES[self.mode]]
        half = 0
        while half < 2 * self.beats:
            length = play.choice((2, 4)) if slow else play.choice((1, 1, 2, 2, 3, 4))
            if play.random() < 0.8:
                tone = play.choice(chord) + 12 * play.choice((1, 2)) if half % 2 == 0 and play.random() < 0.7 else play.choice(scale)
                if play.random() < 0.03:
                    tone += 1
                midi.note(2, at + self.off(half), length / 2 * 0.95, tone, play.randint(66, 96))
            half += length

    def drums(self, midi, play, at, bar):
        kick, snare, hat, opened, ride, crash, rim, shaker = 36, 38, 42, 46, 51, 49, 37, 70
        style, beats = self.style, self.beats
        hit = lambda beat, drum, velocity: midi.note(9, at + beat, 0.1, drum, velocity + play.randint(-10, 10))
        if bar % 8 == 0 and style not in ("bossa nova",):
            hit(0, crash, 88)
        if style in ("disco", "house"):
            for beat in range(beats):
                hit(beat, kick, 112)
                hit(beat + 0.5, opened, 82)
            for beat in (1, 3):
                hit(beat, snare if style == "disco" else 39, 96)
            for quarter in range(16):
                if play.random() < (0.7 if style == "disco" else 0.4):
                    hit(quarter / 4, hat, 56)
        elif style == "swing":
            for beat in range(beats):
                hit(beat, ride, 84)
                if beat % 2:
                    hit(beat, 44, 70)
                    hit(beat + self.swing, ride, 66)
            if play.random() < 0.4:
                hit(self.off(play.choice((3, 5, 7))), snare, 60)
        elif style == "half-time":
            hit(0, kick, 112)
            if play.random() < 0.6:
                hit(play.choice((1.5, 3.5)), kick, 92)
            hit(2, snare, 112)
            for half in range(2 * beats):
                hit(half / 2, hat, 74 if half % 2 == 0 else 60)
        elif style == "drum and bass":
            for beat in (0, 2.5):
                hit(beat, kick, 112)
            for beat in (1, 3):
                hit(beat, snare, 110)
            if play.random() < 0.5:
                hit(play.choice((1.75, 3.75, 2.25)), snare, 62)
            for half in range(2 * beats):
                hit(half / 2, hat if half % 2 else ride, 76)
        elif style == "reggae":
            hit(2, kick, 106)
            hit(2, rim, 100)
            for half in range(2 * beats):
                hit(half / 2, hat, 78 if half % 2 == 0 else 54)
        elif style == "bossa nova":
            for half in range(2 * beats):
                hit(half / 2, shaker, 62)
            for half in (0, 3, 6) if bar % 2 == 0 else (2, 5):
                hit(half / 2, rim, 84)
            for beat in (0, 1.5, 2, 3.5):
                hit(beat, kick, 70)
        elif style == "march":
            hit(0, kick, 104)
            hit(1, snare, 92)
            for quarter in (1.5, 1.75) if play.random() < 0.6 else (0.5,):
                hit(quarter, snare, 70)
        elif style == "chorale":
            pass
        else:  # rock, metal, shuffle, ballad
            kicks = {"metal": [half / 2 for half in range(2 * beats)], "ballad": [0, 2]}.get(style, [0, 2] + play.choice(([], [2.5], [1.5], [3.5])))
            for beat in kicks:
                hit(int(beat) + (self.swing if beat % 1 else 0), kick, 108)
            for beat in (1, 3):
                hit(beat, snare, 108)
            for half in range(2 * beats):
                hit(self.off(half), hat, 80 if half % 2 == 0 else 60)
            if bar % 8 == 7:
                for quarter in range(4):
                    hit(3 + quarter / 4, play.choice((45, 47, 50)), 92)


def soundfont():
    for path in SOUNDFONTS:
        if os.path.exists(path):
            return path
    sys.exit("there is no General MIDI soundfont: as root, apt-get install fluidsynth fluid-soundfont-gm ffmpeg")


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command[0]} failed: {done.stderr.strip()[-500:]}")


def render(midi, volume, seconds, outputs):
    """Renders once, and encodes into each output: (file, ffmpeg's arguments, rate, channels)."""
    outputs = [output for output in outputs if not os.path.exists(output[0])]
    if not outputs:
        return
    with tempfile.TemporaryDirectory() as folder:
        score, wave = os.path.join(folder, "piece.mid"), os.path.join(folder, "piece.wav")
        with open(score, "wb") as file:
            file.write(midi.bytes())
        run("fluidsynth", "-ni", "-q", "-g", str(round(0.7 * volume, 3)), "-r", "44100", "-F", wave, soundfont(), score)
        for file, arguments, rate, channels in outputs:
            partial = f"{file}.partial.{file.rsplit('.', 1)[1]}"
            run("ffmpeg", "-hide_banner", "-loglevel", "error", "-y", "-i", wave, "-t", str(seconds), "-ar", str(rate), "-ac", str(channels),
                "-map_metadata", "-1", *arguments, partial)
            os.replace(partial, file)


def clip(seed, number, seconds, folder):
    """One clip of the set."""
    styles = sorted(STYLES)
    piece = Piece(f"{seed}/{number}", styles[number % len(styles)])
    codec, arguments, ending, rate, channels = FORMATS[random.Random(f"format {seed}/{number}").randrange(len(FORMATS))]
    file = os.path.join(folder, f"clip-{number:03}.{ending}")
    render(piece.play(seconds), piece.volume, seconds, [(file, arguments, rate, channels)])
    return [about(piece, file, codec, rate, channels)]


def variants(seed, number, seconds, folder):
    """One piece as it is in FLAC, as MP3, 3 semitones higher, and 30 % faster."""
    styles = sorted(STYLES)
    piece = Piece(f"{seed}/variant {number}", styles[number % len(styles)])
    flac, mp3 = FORMATS[3], FORMATS[0]
    found = []
    for variant, (codec, arguments, ending, rate, channels), faster, higher in (
        ("original", flac, 1, 0), ("mp3", mp3, 1, 0), ("higher", flac, 1, 3), ("faster", flac, 1.3, 0),
    ):
        file = os.path.join(folder, f"piece-{number:02}-{variant}.{ending}")
        render(piece.play(seconds, faster, higher), piece.volume, seconds, [(file, arguments, rate, channels)])
        found.append(about(piece, file, codec, rate, channels, faster, higher) | {"piece": number, "variant": variant})
    return found


def about(piece, file, codec, rate, channels, faster=1.0, higher=0):
    return {
        "file": os.path.basename(file), "tempo": piece.tempo * faster, "tonic": (piece.tonic + higher) % 12, "mode": piece.mode,
        "style": piece.style, "ensemble": piece.ensemble, "codec": codec, "rate": rate, "channels": channels,
    }


def make(seed, clips, pieces, seconds, folder, workers=1):
    """All clips, and the variants of some further pieces; what is there already is not made again. Returns their descriptions."""
    os.makedirs(folder, exist_ok=True)
    listing = os.path.join(folder, "clips.jsonl")
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        jobs = [pool.submit(clip, seed, number, seconds, folder) for number in range(clips)]
        jobs += [pool.submit(variants, seed, number, seconds, folder) for number in range(pieces)]
        found = []
        for done, job in enumerate(jobs, 1):
            found += job.result()
            print(f"\r{done} of {len(jobs)} pieces rendered", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    with open(listing, "w") as file:
        file.writelines(json.dumps(entry) + "\n" for entry in found)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clips", type=int, default=320)
    parser.add_argument("--pieces", type=int, default=36, help="pieces rendered as FLAC, MP3, higher and faster")
    parser.add_argument("--seconds", type=float, default=16)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--to", required=True, help="folder")
    args = parser.parse_args()
    make(args.seed, args.clips, args.pieces, args.seconds, args.to, args.workers)


if __name__ == "__main__":
    main()
