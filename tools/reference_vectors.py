#!/usr/bin/env python3
"""Make the reference vectors that the embedder's tests compare with.

Writes, into --out (default: crates/embed/tests/fixtures next to this folder):

    reference_vectors.json   {"model", "max_tokens", "texts": [...], "tokens": [...]}
    reference_vectors.f32    little-endian float32, one row of 384 numbers a text, of length 1

The vectors are what sentence-transformers answers for all-MiniLM-L6-v2 in float32. "tokens" is the number of
tokens of each text, [CLS] and [SEP] included, as the model sees it (so after the cut at 256).

To run it:

    python3 -m venv venv && venv/bin/pip install sentence-transformers
    venv/bin/python tools/reference_vectors.py MODEL_FOLDER

MODEL_FOLDER is the sentence-transformers folder of the model (modules.json, model.safetensors, tokenizer.json,
1_Pooling/). Nothing is downloaded.
"""

import argparse
import json
import os
import pathlib
import unicodedata

os.environ["HF_HUB_OFFLINE"] = "1"  # a wrong folder must fail, not be fetched

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

MODEL = "all-MiniLM-L6-v2"
MAX_TOKENS = 256  # the tokenizer file says 128; the model's own setting is 256
DIMS = 384
OUT = pathlib.Path(__file__).resolve().parent.parent / "crates/embed/tests/fixtures"

# Made-up tracks in the two templates and as people type.
TRACKS = [
    "Title: Midnight Harbour | Artist: The Glass Lanterns | Album: Tides | Genre: Indie Rock | Key: A minor | BPM: 124 | Tags: melancholic, guitar",
    "Title: Sonata No. 3 in F sharp minor, Op. 41: II. Adagio | Artist: Elena Varga | Album: Piano Works | Genre: Classical",
    "Title: Concrete Sermon (feat. Lil Quartz) [Explicit] | Artist: MC Parable | Genre: Hip-Hop/Rap | BPM: 92",
    "Title: Blue Smoke on Basin Street | Artist: Otis Marlowe Quintet | Album: Live at the Cellar, 1958 | Genre: Jazz",
    "Title: Voltage Drop (Extended Mix) | Artist: Kernel Panik | Genre: Techno | Key: F# minor | BPM: 138 | Tags: dark, driving, warehouse",
    "Title: Rust and Ruin | Artist: Gravewarden | Album: Ashes of the Ninth | Genre: Death Metal | BPM: 210",
    "Title: Old Fence Line | Artist: Hank Dellwood & The Drifting Sons | Genre: Country",
    "Corazón de Papel by Los Hermanos Quiroga, a bachata track from the 2010s",
    "Sjömannens visa by Åsa Lindström, a Nordic folk song from 1974",
    "Rainy Window Study by lofi.owl, a chill lo-fi hip hop beat, slow and calm, instrumental",
    "Dub the Nation by Prince Ankobra, roots reggae from the late 1970s",
    "夜明けのうた by 青い電車, a Japanese city pop song from 1983",
    "Morning Raga (Alap) by Pandit Devendra Joshi, Hindustani classical, 31 minutes long",
    "Paper Planets - Radio Edit by Nova Sinclair, dance pop, 2019, very danceable and happy",
    "Untitled by Unknown Artist",
    "01 - Track 01.mp3",
    "Ne me laisse pas by Éloïse Delâtre, chanson française from the 1960s, acoustic, quiet",
    "something like slow acoustic guitar music for a rainy sunday",
    "songs for running, fast and loud",
    "90s trip hop with female vocals",
    "sad piano",
    "AC/DC-style hard rock, but with bagpipes & a choir",
]

# What a tagger, a scraper or an attacker may hand in.
EDGES = [
    "",
    " ",
    "\t\n\r  ",
    "a",
    "музыка для долгой зимней ночи, исполнитель неизвестен",
    "Ёлка и йод",
    "桜の木の下で、君を待つ",
    "カタカナ ひらがな ﾊﾝｶｸ ガギグ",
    "봄날의 노래를 부르는 사람들",
    "أغنية هادئة من الزمن الجميل",
    "أُغْنِيَةٌ مُشَكَّلَةٌ",
    "बारिश की रात का गीत",
    "เพลงรักในคืนฝนตก",
    "שיר של ערב שקט",
    "🎸🔥 rock 🤘 party 🎉",
    "👩‍👩‍👧‍👦 family 👩🏽‍🎤 singer 🏳️‍🌈 🇩🇪",
    "a\u0000b\u0001c\u0007d\te\nf\rg\u007fh\u0085i",
    "\u0000",
    "\u0001\u0007",
    "tab\tnew line\nreturn\rend",
    "zero\u200bwidth\u200cjoin\u200der\u2060\ufeffmark",
    "\u202eright to left override\u202c",
    unicodedata.normalize("NFC", "Café Motörhead Sigur Rós Dvořák Łódź Việt Nam"),
    unicodedata.normalize("NFD", "Café Motörhead Sigur Rós Dvořák Łódź Việt Nam"),
    "Z\u0351\u036b\u0343\u036a\u0302\u036ba\u0334\u034el\u0321\u034ag\u0322o",
    "Straße Maſſe İstanbul ıʃ ŒUVRE ﬁn ǅ ΣΊΣΥΦΟΣ",
    "ẞ İ I ı i̇",
    "x" * 200,
    "x" * 100,
    "x" * 101,
    "before " + "ö" * 200 + " after",
    "!!! ??? ... --- ,,, ;;; ''' \"\"\" ((())) [] {} <> @#$%^&*_+=~`|\\/",
    "!",
    "“curly” ‘quotes’ – en — em … ellipsis • bullet ¿qué? ¡sí! 「括弧」、。",
    "co\u00adop\u00aderation \u00ad soft",
    "private \ue000 use \U000f0000 plane",
    "\u3400 \U00020000 \U0002a6d6 \U00030000 rare CJK",
    "unassigned \u0378 \U000e0fff noncharacter \ufffe \uffff replacement \ufffd",
    "no-break\u00a0space ideographic\u3000space thin\u2009space line\u2028para\u2029end",
    "<b>Bold</b> &amp; <script>alert('x')</script>",
    "'; DROP TABLE tracks; -- \" OR 1=1",
    "[CLS] [SEP] [MASK] [PAD] [UNK]",
    "[mask] ##ing [unused1]",
    "ＦＵＬＬ ｗｉｄｔｈ ① ½ ² ™ Ⅳ ㎏",
    "𝕸𝖚𝖘𝖎𝖈 𝓶𝓾𝓼𝓲𝓬",
    "1,000,000.50 3:45 120bpm 1999/2000 -14.3dB",
    "don't rock'n'roll R&B drum&bass lo-fi",
]

# The same few words again and again, to reach a wanted number of tokens.
WORDS = "slow blue music for a long cold winter night by the quiet sea with piano and strings under a silver moon".split()


def words_of(model, tokens):
    """Text of exactly `tokens` tokens, [CLS] and [SEP] included, before any cut. Each of WORDS is one token."""
    text = " ".join(WORDS[i % len(WORDS)] for i in range(tokens - 2))
    backend = model.tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    assert len(backend.encode(text).ids) == tokens
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model_folder", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=OUT)
    args = parser.parse_args()

    torch.set_num_threads(2)
    model = SentenceTransformer(str(args.model_folder), device="cpu").float().eval()
    model.max_seq_length = MAX_TOKENS

    lengths = [words_of(model, n) for n in (127, 128, 129, 130, 255, 256, 257, 300)]
    six_hundred = " ".join(f"{WORDS[i % len(WORDS)]}{i if i % 7 == 0 else ''}" for i in range(600))
    texts = TRACKS + EDGES + lengths + [six_hundred]

    # One text at a time: no padding, so nothing that could depend on the other texts.
    vectors = np.vstack([model.encode([text], normalize_embeddings=True, convert_to_numpy=True) for text in texts])
    counts = [int(model.preprocess([text])["attention_mask"].sum()) for text in texts]

    # The traps: the tokenizer file's own cut and padding at 128 must be gone, and padding must not matter.
    assert max(counts) == MAX_TOKENS and counts[len(TRACKS + EDGES) :] == [127, 128, 129, 130, 255, 256, 256, 256, 256], counts
    by_length = vectors[len(TRACKS + EDGES) :]
    for i in range(5):  # 127, 128, 129, 130, 255, 256: all different
        assert np.abs(by_length[i] - by_length[i + 1]).max() > 1e-4, i
    assert (by_length[5:8] == by_length[5]).all(), "256, 257 and 300 tokens of the same words are the same 256 tokens"
    padded = model.encode(texts, batch_size=len(texts), normalize_embeddings=True, convert_to_numpy=True)
    assert np.abs(padded - vectors).max() < 1e-5, np.abs(padded - vectors).max()
    assert vectors.shape == (len(texts), DIMS) and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)

    args.out.mkdir(parents=True, exist_ok=True)
    about = {"model": MODEL, "max_tokens": MAX_TOKENS, "texts": texts, "tokens": counts}
    # Escaped, so that no editor or checkout can change a control character or a combining accent.
    (args.out / "reference_vectors.json").write_text(json.dumps(about, ensure_ascii=True, indent=1) + "\n", "utf-8")
    vectors.astype("<f4").tofile(args.out / "reference_vectors.f32")
    print(f"{len(texts)} texts, padding changes at most {np.abs(padded - vectors).max():.1e}")


if __name__ == "__main__":
    main()
