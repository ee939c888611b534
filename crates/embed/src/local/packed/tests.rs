use super::*;
use crate::local::bert::Scratch;
use crate::local::kernels::Isa;
use crate::local::made_up::{TINY, write_weights};

fn vector(image: &Image, bert: &Bert) -> Vec<f32> {
    bert.encode(Isa::detect(), image, &[&[0, 1, 2]], &mut Scratch::default()).unwrap().remove(0)
}

fn packed_files(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name != "model.safetensors").collect();
    names.sort();
    names
}

#[test]
fn the_first_load_packs_and_the_next_one_maps_the_same() {
    for precision in Precision::ALL {
        let folder = tempfile::tempdir().unwrap();
        write_weights(folder.path());
        let (image, bert) = load(folder.path(), TINY, precision).unwrap();
        let name = format!("packed-{}-1.bin", precision.name());
        assert_eq!(packed_files(folder.path()), [name.as_str()]);
        let made = std::fs::metadata(folder.path().join(&name)).unwrap();
        let (again, bert_again) = load(folder.path(), TINY, precision).unwrap();
        assert_eq!(std::fs::metadata(folder.path().join(&name)).unwrap().ino(), made.ino(), "it was made again");
        assert_eq!(vector(&image, &bert), vector(&again, &bert_again));
    }
}

#[test]
fn what_is_damaged_foreign_or_old_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    write_weights(folder.path());
    let (image, bert) = load(folder.path(), TINY, Precision::Int8).unwrap();
    let (expected, sound) = (vector(&image, &bert), image.bytes().to_vec());
    let path = folder.path().join("packed-int8-1.bin");

    let mut damaged = sound.clone();
    damaged[30] ^= 1;
    let other_precision = {
        load(folder.path(), TINY, Precision::Fp32).unwrap();
        std::fs::read(folder.path().join("packed-fp32-1.bin")).unwrap()
    };
    let longer = [sound.as_slice(), &[0]].concat();
    for wrong in [&[], &sound[..500], &sound[..sound.len() - 1], &damaged, &longer, &other_precision] {
        std::fs::write(&path, wrong).unwrap();
        let (image, bert) = load(folder.path(), TINY, Precision::Int8).unwrap();
        assert_eq!(vector(&image, &bert), expected);
        assert!(std::fs::read(&path).unwrap() == sound, "not made anew from {} bytes", wrong.len());
    }

    // Other weights of the same size, and nothing else that changed.
    let weights = folder.path().join("model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    let last = bytes.len() - 40;
    bytes[last..].fill(0x3e);
    std::fs::write(folder.path().join("new"), &bytes).unwrap();
    std::fs::rename(folder.path().join("new"), &weights).unwrap();
    let (image, bert) = load(folder.path(), TINY, Precision::Int8).unwrap();
    assert_ne!(vector(&image, &bert), expected);
}

#[test]
fn a_mapped_model_outlives_its_file() {
    let folder = tempfile::tempdir().unwrap();
    write_weights(folder.path());
    let (image, bert) = load(folder.path(), TINY, Precision::Fp32).unwrap();
    let before = vector(&image, &bert);
    let path = folder.path().join("packed-fp32-1.bin");
    std::fs::rename(&path, folder.path().join("gone")).unwrap();
    let (again, bert_again) = load(folder.path(), TINY, Precision::Fp32).unwrap();
    std::fs::remove_file(path).unwrap();
    assert_eq!(vector(&image, &bert), before);
    assert_eq!(vector(&again, &bert_again), before);
}

#[test]
fn a_folder_that_cannot_be_written_is_served_from_memory() {
    let folder = tempfile::tempdir().unwrap();
    write_weights(folder.path());
    // A folder where the file should be: also whoever may write everywhere cannot put a file there.
    std::fs::create_dir(folder.path().join("packed-int8-1.bin")).unwrap();
    std::fs::write(folder.path().join("packed-int8-1.bin/occupied"), "").unwrap();
    let (image, bert) = load(folder.path(), TINY, Precision::Int8).unwrap();
    assert_eq!(vector(&image, &bert).len(), TINY.hidden);
    assert_eq!(packed_files(folder.path()), ["packed-int8-1.bin"], "something was left behind");
}

#[test]
fn without_weights_a_packed_file_is_of_no_use() {
    let folder = tempfile::tempdir().unwrap();
    write_weights(folder.path());
    load(folder.path(), TINY, Precision::Fp32).unwrap();
    std::fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    let error = load(folder.path(), TINY, Precision::Fp32).unwrap_err();
    assert!(matches!(error, ModelError::Read { .. }), "{error}");
}
