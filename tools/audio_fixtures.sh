#!/usr/bin/env bash
# Makes crates/audio/tests/fixtures anew: one small clip of each codec, sample rate and channel layout that is decoded, and of
# some that are not. Needs ffmpeg with libmp3lame, libvorbis and libopus; the tests need none of it.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../crates/audio/tests/fixtures"

# A quarter of a second of silence, then an A major chord struck twice a second: 440, 554.37 and 659.25 Hz.
chord='0.2*(sin(2*PI*440*t)+sin(2*PI*554.37*t)+sin(2*PI*659.25*t))*exp(-3*mod(t-0.25\,0.5))*gte(t\,0.25)'

# clip RATE CHANNELS SECONDS FILE [ffmpeg's arguments]: the second channel is half as loud as the first.
clip() {
    local rate=$1 channels=$2 seconds=$3 file=$4
    shift 4
    local layout="$chord" channel
    for ((channel = 1; channel < channels; channel++)); do layout+="|0.5*$chord"; done
    ffmpeg -hide_banner -loglevel error -y -f lavfi -i "aevalsrc=exprs=$layout:s=$rate:d=$seconds" \
        -map_metadata -1 -fflags +bitexact -flags:a +bitexact "$@" "$file"
}

clip 44100 2 1.5 mp3-44100-2.mp3 -c:a libmp3lame -b:a 64k
clip 44100 1 1.5 mp3-44100-1-vbr.mp3 -c:a libmp3lame -q:a 9
clip 22050 1 1.5 mp3-22050-1.mp3 -c:a libmp3lame -b:a 24k
clip 48000 2 1.5 mp2-48000-2.mp2 -c:a mp2 -b:a 64k
clip 44100 2 1 flac-44100-2.flac -c:a flac -sample_fmt s16
clip 96000 2 0.4 flac-96000-2-24bit.flac -c:a flac -sample_fmt s32 -bits_per_raw_sample 24
clip 48000 6 0.45 flac-48000-6.flac -c:a flac -sample_fmt s16
clip 16000 1 1.5 flac-16000-1.oga -c:a flac -sample_fmt s16 -f ogg
clip 44100 2 1.5 vorbis-44100-2.ogg -c:a libvorbis -q:a 0
clip 48000 1 1.5 vorbis-48000-1.ogg -c:a libvorbis -q:a 0
clip 48000 6 1 vorbis-48000-6.ogg -c:a libvorbis -q:a 0
clip 48000 2 1.5 opus-48000-2.opus -c:a libopus -b:a 24k
clip 48000 1 1.5 opus-48000-1.opus -c:a libopus -b:a 16k
clip 48000 6 1 opus-48000-6.opus -c:a libopus -b:a 64k
clip 44100 2 1.5 aac-44100-2.m4a -c:a aac -b:a 48k
clip 48000 1 1.5 aac-48000-1.aac -c:a aac -b:a 32k -f adts
clip 44100 6 1 aac-44100-6.m4a -c:a aac -b:a 96k
clip 44100 2 0.5 alac-44100-2.m4a -c:a alac
clip 8000 1 1.5 pcm-8000-1-16bit.wav -c:a pcm_s16le
clip 8000 2 0.75 pcm-8000-2-24bit.wav -c:a pcm_s24le
clip 11025 1 0.75 pcm-11025-1-float.wav -c:a pcm_f32le
clip 8000 1 0.75 pcm-8000-1-8bit.wav -c:a pcm_u8
clip 192000 1 0.3 flac-192000-1.flac -c:a flac -sample_fmt s16
clip 8000 1 0.75 mulaw-8000-1.wav -c:a pcm_mulaw
clip 11025 1 1.5 adpcm-11025-1.wav -c:a adpcm_ima_wav
clip 8000 2 0.75 pcm-8000-2.aiff -c:a pcm_s16be
clip 8000 1 0.75 pcm-8000-1.caf -c:a pcm_s16be
clip 44100 2 1 wma.wma -c:a wmav2 -b:a 48k
clip 48000 2 0.5 ac3.ac3 -c:a ac3 -b:a 64k
clip 22050 1 0.1 wavpack.wv -c:a wavpack
clip 22050 1 0.1 tta.tta -c:a tta
clip 48000 2 0.5 opus.webm -c:a libopus -b:a 24k
clip 48000 2 0.5 ac3.mp4 -c:a ac3 -b:a 64k

# No free encoder makes HE-AAC: an AAC file whose header says that it is. Its AudioSpecificConfig follows the tag 0x05 in its esds.
python3 - <<'PYTHON'
import re
data = open("aac-44100-2.m4a", "rb").read()
esds = data.index(b"esds")
tag = re.compile(rb"\x05(?:\x80\x80\x80)?([\x02-\x08])(?=[\x10-\x17])").search(data, esds)
length = tag.group(1)[0]
# SBR (5), 22,050 Hz (7), 2 channels, to 44,100 Hz (4), over AAC-LC (2), and three flags.
bits = f"{5:05b}{7:04b}{2:04b}{4:04b}{2:05b}000".ljust(8 * length, "0")
config = int(bits, 2).to_bytes(length, "big")
open("he-aac.m4a", "wb").write(data[:tag.end()] + config + data[tag.end() + length:])
PYTHON
