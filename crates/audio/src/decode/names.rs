//! What things are called that are not decoded here: "cannot be decoded" is no help without a name.

use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known as codec;
use symphonia::core::codecs::audio::well_known::profiles;

/// First bytes of files that no demuxer of ours reads.
const SIGNATURES: &[(usize, &[u8], &str)] = &[
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media (WMA)"),
    (0, b"MAC ", "Monkey's Audio (APE)"),
    (0, b"MPCK", "Musepack"),
    (0, b"MP+", "Musepack"),
    (0, b"wvpk", "WavPack"),
    (0, b"TTA1", "True Audio (TTA)"),
    (0, b"TTA2", "True Audio (TTA)"),
    (0, b"DSD ", "DSD"),
    (0, b"FRM8", "DSD"),
    (0, b"OFR ", "OptimFROG"),
    (0, b"tBaK", "TAK"),
    (0, b"MThd", "MIDI"),
    (0, b".RMF", "RealAudio"),
    (0, b".ra\xfd", "RealAudio"),
    (0, b"#!AMR", "AMR"),
    (0, b"\x1a\x45\xdf\xa3", "Matroska or WebM"),
    (0, b"FLV\x01", "Flash video"),
    (0, b"\x0b\x77", "AC-3"),
    (28, b"Speex   ", "Speex"),
];

/// What the file is, where its first bytes say so and it is nothing that is decoded here.
pub(super) fn foreign_format(start: &[u8]) -> Option<&'static str> {
    let found = SIGNATURES.iter().find(|(at, bytes, _)| start.get(*at..).is_some_and(|rest| rest.starts_with(bytes)));
    found.map(|(_, _, name)| *name)
}

/// Extensions of files that are decoded here. Another content under them is damage, not a foreign format.
pub(super) fn is_known_extension(extension: &str) -> bool {
    const KNOWN: [&str; 17] = [
        "mp3", "mp2", "flac", "ogg", "oga", "opus", "m4a", "m4b", "mp4", "aac", "alac", "wav", "wave", "aif", "aiff",
        "aifc", "caf",
    ];
    KNOWN.iter().any(|known| known.eq_ignore_ascii_case(extension))
}

/// The codec's name, with its profile where that matters.
pub(super) fn codec_name(params: &AudioCodecParameters) -> &'static str {
    match params.codec {
        codec::CODEC_ID_MP1 => "MP1",
        codec::CODEC_ID_MP2 => "MP2",
        codec::CODEC_ID_MP3 => "MP3",
        codec::CODEC_ID_FLAC => "FLAC",
        codec::CODEC_ID_VORBIS => "Vorbis",
        codec::CODEC_ID_OPUS => "Opus",
        codec::CODEC_ID_ALAC => "ALAC",
        codec::CODEC_ID_AAC => match params.profile {
            Some(profiles::CODEC_PROFILE_AAC_HE) => "HE-AAC",
            Some(profiles::CODEC_PROFILE_AAC_HE_V2) => "HE-AAC v2",
            Some(profiles::CODEC_PROFILE_AAC_USAC) => "xHE-AAC",
            Some(profiles::CODEC_PROFILE_AAC_MAIN) => "AAC Main",
            Some(profiles::CODEC_PROFILE_AAC_SSR) => "AAC SSR",
            Some(profiles::CODEC_PROFILE_AAC_LTP) => "AAC LTP",
            _ => "AAC",
        },
        codec::CODEC_ID_AC3 => "AC-3",
        codec::CODEC_ID_EAC3 => "E-AC-3",
        codec::CODEC_ID_AC4 => "AC-4",
        codec::CODEC_ID_DCA => "DTS",
        codec::CODEC_ID_WMA => "Windows Media (WMA)",
        codec::CODEC_ID_SPEEX => "Speex",
        codec::CODEC_ID_MUSEPACK => "Musepack",
        codec::CODEC_ID_WAVPACK => "WavPack",
        codec::CODEC_ID_MONKEYS_AUDIO => "Monkey's Audio (APE)",
        codec::CODEC_ID_TTA => "True Audio (TTA)",
        codec::CODEC_ID_TRUEHD => "TrueHD",
        id => match symphonia::default::get_codecs().get_audio_decoder(id) {
            Some(known) if known.codec.info.short_name.starts_with("pcm") => "PCM",
            Some(known) if known.codec.info.short_name.starts_with("adpcm") => "ADPCM",
            _ => "an unknown codec",
        },
    }
}
