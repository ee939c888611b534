use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};

use super::*;

const WORLD: [PinnedFile; 2] = [
    PinnedFile { name: "hello", bytes: 5, sha256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" },
    PinnedFile { name: "world", bytes: 5, sha256: "486ea46224d1bb4fb680f34f7c9ad96a8f24ec88be73ea8e5a6c65260e9cb8a7" },
];

fn files(data: &Path, hub: &str) -> ModelFiles {
    ModelFiles {
        folder: data.join("models").join("tiny"),
        pinned: &WORLD,
        hub: hub.to_owned(),
        pip: pip::ALL_MINILM_L6_V2,
    }
}

fn put(files: &ModelFiles, hello: &str, world: &str) {
    fs::create_dir_all(&files.folder).unwrap();
    fs::write(files.folder.join("hello"), hello).unwrap();
    fs::write(files.folder.join("world"), world).unwrap();
}

/// Everything below the data folder's `models`, to see that nothing is left lying about.
fn names(data: &Path) -> Vec<String> {
    fs::read_dir(data.join("models"))
        .map(|entries| entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
        .unwrap_or_default()
}

/// A hub that answers each request with the next of these bodies, each announced as `length` bytes.
fn hub(answers: Vec<(usize, &'static str)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for (length, body) in answers {
            let mut stream: TcpStream = listener.accept().unwrap().0;
            let mut request = BufReader::new(stream.try_clone().unwrap()).lines();
            while request.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(body.as_bytes()).unwrap();
        }
    });
    address
}

fn go_on(_: PullProgress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn status_tells_missing_short_and_present_apart() {
    let data = tempfile::tempdir().unwrap();
    let files = files(data.path(), "");
    assert_eq!(files.status().unwrap(), ModelStatus::Missing { file: "hello" });
    put(&files, "hello", "wor");
    assert_eq!(files.status().unwrap(), ModelStatus::WrongSize { file: "world", expected: 5, found: 3 });
    put(&files, "hello", "world");
    assert_eq!(files.status().unwrap(), ModelStatus::Present);
}

#[test]
fn verify_finds_a_changed_byte() {
    let data = tempfile::tempdir().unwrap();
    let files = files(data.path(), "");
    put(&files, "hello", "world");
    files.verify().unwrap();
    put(&files, "hello", "w0rld");
    assert!(matches!(files.verify(), Err(ModelFilesError::WrongHash { file: "world", .. })));
    put(&files, "hello", "world and more");
    assert!(matches!(files.verify(), Err(ModelFilesError::WrongSize { found: 6, .. })));
}

#[test]
fn sound_files_are_not_fetched_again() {
    let data = tempfile::tempdir().unwrap();
    let files = files(data.path(), "http://nowhere.invalid");
    put(&files, "hello", "world");
    let pulled = files.pull(PullSource::Hub, &mut |_| panic!("nothing is fetched")).unwrap();
    assert_eq!(pulled, Pulled::AlreadyPresent);
}

#[test]
fn a_pull_replaces_damaged_files_and_tells_how_far_it_is() {
    let data = tempfile::tempdir().unwrap();
    let files = files(data.path(), &hub(vec![(5, "hello"), (5, "world")]));
    put(&files, "hello", "w0rld");
    let mut last = None;
    let pulled = files
        .pull(PullSource::Auto, &mut |progress| {
            last = Some(progress);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(pulled, Pulled::From(Origin::Hub));
    assert_eq!(last, Some(PullProgress { origin: Origin::Hub, done: 10, total: 10 }));
    files.verify().unwrap();
    assert_eq!(names(data.path()), ["tiny"]);
}

#[test]
fn a_wrong_file_is_refused_and_leaves_nothing() {
    let data = tempfile::tempdir().unwrap();
    let files = files(data.path(), &hub(vec![(5, "hello"), (5, "wor1d")]));
    let error = files.pull(PullSource::Hub, &mut go_on).unwrap_err();
    assert!(matches!(error, ModelFilesError::WrongHash { file: "world", .. }), "{error}");
    assert!(names(data.path()).is_empty());
}

#[test]
fn a_longer_file_is_refused_without_reading_it_all() {
    let data = tempfile::tempdir().unwrap();
    let files = files(data.path(), &hub(vec![(1_000_000, "hello and a lot more")]));
    let error = files.pull(PullSource::Hub, &mut go_on).unwrap_err();
    assert!(matches!(error, ModelFilesError::WrongSize { file: "hello", found: 6, .. }), "{error}");
}

#[test]
fn a_connection_that_breaks_leaves_nothing() {
    let data = tempfile::tempdir().unwrap();
    let files = files(data.path(), &hub(vec![(5, "hel")]));
    let error = files.pull(PullSource::Hub, &mut go_on).unwrap_err();
    assert!(matches!(error, ModelFilesError::Hub { file: "hello", .. }), "{error}");
    assert!(names(data.path()).is_empty());
}

#[test]
fn a_cancelled_pull_leaves_nothing() {
    let data = tempfile::tempdir().unwrap();
    let files = files(data.path(), &hub(vec![(5, "hello"), (5, "world")]));
    let error = files.pull(PullSource::Hub, &mut |_| ControlFlow::Break(())).unwrap_err();
    assert!(matches!(error, ModelFilesError::Cancelled), "{error}");
    assert!(names(data.path()).is_empty());
}

#[test]
fn the_pinned_folder_is_below_models() {
    let files = ModelFiles::all_minilm_l6_v2(Path::new("/data"));
    assert_eq!(files.folder(), Path::new("/data/models/all-MiniLM-L6-v2"));
}
