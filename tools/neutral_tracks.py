#!/usr/bin/env python3
"""Print made-up tracks, one JSON object a line: the neutral texts whose mean vector is taken off every text.

The names are put together from the word lists below and mean nobody. Genres are spread evenly and fields are missing at
random, as in real libraries. The output is always the same (fixed seed, only random.random() is used):

    python3 tools/neutral_tracks.py > crates/embed/data/neutral-tracks.jsonl
"""

import json
import random

TRACKS = 800
SEED = 20200121

# genre tag, years, BPM, and the usual energy, acousticness and instrumentalness
GENRES = """
Rock 1965-2024 120 .70 .15 .08 | Classic Rock 1964-1985 122 .65 .20 .06 | Indie Rock 1990-2024 124 .68 .15 .10
Hard Rock 1970-2020 128 .85 .05 .05 | Progressive Rock 1969-2022 118 .60 .20 .30 | Punk 1976-2022 165 .92 .03 .04
Post-Punk 1978-2024 135 .75 .06 .20 | Grunge 1988-2000 118 .80 .05 .08 | Metal 1980-2024 130 .93 .02 .20
Death Metal 1987-2024 140 .96 .01 .35 | Black Metal 1990-2024 145 .93 .02 .50 | Doom Metal 1985-2024 80 .80 .03 .40
Pop 1970-2024 116 .65 .22 .02 | Dance Pop 1985-2024 122 .76 .12 .02 | Synth-Pop 1980-2024 120 .70 .12 .08
K-Pop 2005-2024 122 .80 .12 .01 | J-Pop 1985-2024 125 .80 .18 .03 | Indie Pop 1990-2024 115 .58 .35 .10
Hip-Hop 1986-2024 95 .68 .15 .02 | Rap 1986-2024 100 .66 .18 .01 | Trap 2010-2024 140 .62 .15 .04
R&B 1965-2024 98 .55 .28 .02 | Soul 1962-2022 104 .55 .40 .04 | Funk 1968-2020 110 .72 .22 .12 | Disco 1974-1984 120 .78 .18 .10
Electronic 1985-2024 122 .68 .15 .55 | House 1986-2024 125 .78 .06 .50 | Techno 1988-2024 132 .78 .04 .80
Trance 1994-2024 136 .82 .03 .60 | Drum and Bass 1993-2024 174 .88 .04 .40 | Dubstep 2005-2024 140 .85 .05 .35
Ambient 1978-2024 90 .20 .75 .88 | Lo-Fi 2012-2024 80 .30 .65 .75 | Trip-Hop 1992-2015 88 .50 .25 .35
Jazz 1950-2024 112 .35 .80 .55 | Bebop 1945-1970 150 .42 .90 .60 | Jazz Fusion 1970-2015 115 .60 .40 .65
Blues 1950-2022 108 .45 .60 .10 | Country 1955-2024 118 .60 .35 .02 | Bluegrass 1950-2022 125 .50 .80 .25
Folk 1958-2024 112 .35 .78 .08 | Singer-Songwriter 1968-2024 114 .38 .70 .04 | Americana 1990-2024 116 .48 .55 .06
Classical 1955-2024 100 .15 .96 .80 | Baroque 1960-2024 102 .22 .95 .78 | Opera 1950-2020 95 .25 .96 .10
Choral 1960-2024 90 .18 .97 .40 | Piano 1970-2024 95 .12 .98 .90 | Chamber Music 1960-2024 100 .18 .96 .85
Soundtrack 1960-2024 98 .30 .70 .80 | New Age 1980-2020 92 .20 .80 .80 | Reggae 1968-2020 88 .60 .18 .04
Dancehall 1985-2024 98 .75 .15 .01 | Ska 1964-2015 150 .82 .12 .04 | Dub 1973-2020 78 .50 .15 .60
Latin 1960-2024 104 .70 .28 .03 | Reggaeton 2003-2024 94 .76 .18 .01 | Salsa 1965-2020 98 .75 .50 .03 | Cumbia 1965-2022 96 .70 .45 .08
Bossa Nova 1959-2015 118 .35 .80 .15 | Samba 1958-2020 108 .65 .60 .03 | Tango 1950-2015 115 .35 .88 .40 | Flamenco 1965-2022 118 .50 .75 .10
Afrobeat 1970-2024 112 .75 .25 .20 | Highlife 1960-2020 116 .70 .45 .10 | Gospel 1955-2024 104 .50 .50 .02
World 1975-2024 110 .50 .55 .20 | Celtic 1975-2020 115 .40 .75 .40 | Chanson 1950-2015 108 .35 .78 .02 | Schlager 1960-2020 120 .65 .35 .01
Bollywood 1960-2024 108 .60 .50 .03 | Children's 1970-2024 118 .50 .60 .02 | Comedy 1960-2020 100 .50 .70 .00 | Spoken Word 1955-2024 90 .25 .85 .00
"""
ADJECTIVES = """blue silver broken quiet wild golden hollow crimson distant electric paper wooden burning frozen velvet lonely bright
lost hidden early late restless northern southern empty little open heavy gentle sacred plastic midnight summer winter old new black white""".split()
NOUNS = """river harbour mirror lantern engine garden window signal mountain letter shadow circle station feather bridge ocean thunder
orchard compass machine meadow tower desert island candle highway kitchen theatre valley fever ribbon anchor comet pocket ladder morning
evening fire rain stone hammer dream dance road house train city sky love night""".split()
VERBS = "run wait fall breathe remember carry follow leave hold burn dance dream sing believe wake drive forget climb".split()
FIRST = """Mara Otis Elena Jonas Priya Tomasz Ingrid Hank Lucia Kwame Yuki Farid Celia Dmitri Noor Ansel Bruna Emeka Saskia Colm
Thandi Rafael Mei Viktor Odette Amadou Greta Leon Zofia Hiro Marisol Aylin Pavel Ruth Desmond Anouk""".split()
LAST = """Varga Lindholm Marlowe Okonjo Delatre Quiroga Haddad Petrov Sato Brandt Moreau Castellan Dunne Ferreira Novak Iyer Holloway
Lindqvist Mbeki Tanaka Rossi Keller Whitlock Aragon Baptiste Szabo Yilmaz Joshi Cooper Vance Eriksen Dellwood""".split()
FORMS = ["Sonata", "Symphony", "String Quartet", "Concerto", "Suite", "Prelude", "Nocturne", "Mass", "Etude", "Partita"]
PARTS = ["Allegro", "Adagio", "Andante con moto", "Presto", "Menuetto", "Largo", "Scherzo. Vivace", "Finale"]
FOREIGN = """Canción del viento|La nuit sans toi|Über den Dächern|Corazón de papel|Saudade da rua|Sotto la luna|Белый снег|Дорога домой
夜明けのうた|青い風|봄날의 편지|أغنية الليل|बारिश की रात|Yağmur gibi|Sjömannens visa|Sininen hetki|Piosenka o deszczu|Τραγούδι του δρόμου|Đêm mưa|Bài ca mùa hạ"""
FOREIGN = FOREIGN.replace("\n", "|").split("|")
ADDENDA = ["(Live)", "(Remastered)", "- Remastered 2009", "(Radio Edit)", "(Extended Mix)", "(Acoustic)", "(Instrumental)", "(Demo)", "(feat. {})", "- {} Remix"]
MOODS = ["calm", "dark", "happy", "sad", "dreamy", "aggressive", "romantic", "party", "melancholic", "uplifting", "relaxed", "epic"]
KEYS = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"]
CLASSICAL = {"Classical", "Baroque", "Opera", "Choral", "Piano", "Chamber Music"}
DANCE = {"House", "Techno", "Trance", "Drum and Bass", "Dubstep", "Electronic", "Disco", "Dance Pop", "Dancehall", "Reggaeton"}

random.seed(SEED)


def chance(p):
    return random.random() < p


def pick(choices):
    return choices[int(random.random() * len(choices))]


def around(centre, spread):
    """A number near `centre`: the sum of three is bell-shaped enough."""
    return centre + spread * (random.random() + random.random() + random.random() - 1.5)


def share(centre, spread=0.45):
    return round(min(0.998, max(0.001, around(centre, spread))), 3)


def person():
    return f"{pick(FIRST)} {pick(LAST)}"


def capital(words):
    return " ".join(word[:1].upper() + word[1:] for word in words.split())


def artist_name(genre):
    roll = random.random()
    if genre in CLASSICAL:
        return pick([person(), person(), f"{pick(LAST)} Quartet", f"{capital(pick(NOUNS))} Philharmonic Orchestra", f"{person()}, {capital(pick(NOUNS))} Ensemble"])
    if roll < 0.40:
        return person()
    if roll < 0.60:
        return capital(f"the {pick(ADJECTIVES)} {pick(NOUNS)}s")
    if roll < 0.75:
        return capital(f"{pick(ADJECTIVES)} {pick(NOUNS)}")
    if roll < 0.85:
        return f"{person()}, {person()}"
    return pick([f"DJ {pick(LAST)}", capital(pick(NOUNS)), pick(FIRST), f"{pick(FIRST)} & The {capital(pick(NOUNS))}s"])


def title_words():
    return capital(
        pick(
            [
                f"{pick(ADJECTIVES)} {pick(NOUNS)}",
                f"{pick(NOUNS)}",
                f"{pick(VERBS)} with me",
                f"the {pick(NOUNS)} and the {pick(NOUNS)}",
                f"{pick(VERBS)} the {pick(NOUNS)}",
                f"I {pick(VERBS)} you",
                f"{pick(NOUNS)} of the {pick(NOUNS)}",
                f"don't {pick(VERBS)}",
                f"in the {pick(NOUNS)}",
            ]
        )
    )


def track(genre, years, bpm, energy, acousticness, instrumentalness):
    if genre in CLASSICAL and chance(0.7):
        title = f"{pick(FORMS)} No. {1 + int(9 * random.random())} in {pick('ABCDEFG')} {pick(['major', 'minor'])}"
        if chance(0.6):
            title += f", Op. {1 + int(120 * random.random())}"
        if chance(0.7):
            title += f": {pick(['I', 'II', 'III', 'IV'])}. {pick(PARTS)}"
    else:
        title = pick(FOREIGN) if chance(0.12) else title_words()
        if chance(0.15):
            title += " " + pick(ADDENDA).format(person())
    first, last = years
    minutes = 6.0 if genre in CLASSICAL or genre in DANCE else 3.8
    loudness = -34 + 29 * energy**0.5
    full = {
        "album": title if chance(0.3) else title_words(),
        "artist": artist_name(genre),
        "bpm": round(max(50.0, around(bpm, 50)), 1),
        "danceability": share(0.68 if genre in DANCE else 0.30 if genre in CLASSICAL else 0.52),
        "acousticness": share(acousticness),
        "duration": round(max(45.0, 60 * around(minutes, 3.2)), 1),
        "energy": share(energy),
        "genre": genre,
        "instrumentalness": share(instrumentalness) if chance(0.6) else 0.0,
        "key": pick(KEYS),
        "loudness": round(min(-1.5, around(loudness, 7)), 3),
        "mode": "major" if chance(0.6) else "minor",
        "mood_tags": [pick(MOODS)],
        "title": title,
        "valence": share(0.45, 0.7),
        "year": first + int((last - first + 1) * random.random()),
    }
    # What libraries lack: most have no audio features, many no genre, a few not even an artist.
    kept = {"title": 1, "artist": 0.97, "album": 0.85, "year": 0.85, "genre": 0.6, "duration": 0.95, "mood_tags": 0.1}
    analysed = chance(0.5)
    kept.update(dict.fromkeys(["bpm", "key", "mode"], 0.97 if analysed else 0.1))
    kept.update(dict.fromkeys(["danceability", "energy", "valence", "acousticness", "instrumentalness", "loudness"], 0.97 if analysed else 0))
    return {name: full[name] for name in full if chance(kept[name])}


def main():
    genres = []
    for entry in GENRES.replace("\n", "|").split("|"):
        if entry.strip():
            *name, years, bpm, energy, acousticness, instrumentalness = entry.split()
            span = tuple(int(year) for year in years.split("-"))
            genres.append((" ".join(name), span, float(bpm), float(energy), float(acousticness), float(instrumentalness)))
    for number in range(TRACKS):
        print(json.dumps(track(*genres[number % len(genres)]), ensure_ascii=False, sort_keys=True))


if __name__ == "__main__":
    main()
