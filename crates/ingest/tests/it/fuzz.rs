//! Any file is imported to its end, or refused with a reason.

use std::sync::Arc;

use soniquebay_ingest::{ImportOptions, import};
use soniquebay_testkit::mutate::{cases, inputs};

use crate::catalog::MemoryCatalog;

const FILES: [&str; 4] = [
    "Title;Artist Name;Genre;Year\nSo What;Miles Davis;Jazz;1959\n\"Blue; in Green\";\"Miles \"\"D\"\" Davis\";Jazz;1959\n",
    "title,artist,bpm,key,tags\r\nA,X,120,11A,\"a;b\"\r\n\r\nB,,5,H flat,\r\n\"multi\nline\",Z,99.5,C#,x\r\n",
    "path\ttitle\tenergy\tloudness\n/m/a.flac\tA\t0.5\t-12\n/m/b.flac\tB\t85\t-9\n",
    "{\"title\":\"A\",\"artist\":\"X\"}\n{\"title\":\"B\",\"bpm\":5}\nnot json\n{\"id\":3,\"title\":\"C\",\"tags\":[\"a\"]}\n",
];

#[tokio::test]
async fn fuzz_imported_files() {
    let (count, mut rows, mut written) = (cases(2_000), 0, 0);
    for input in inputs(&FILES, count) {
        let catalog = Arc::new(MemoryCatalog::default());
        let reader = std::io::Cursor::new(input.to_vec());
        if let Ok(report) = import(reader, None, catalog, ImportOptions::default(), |_| {}).await {
            let accounted = report.created + report.updated + report.unchanged + report.failed_total;
            assert_eq!(report.lines, accounted, "every record is accounted for");
            rows += report.lines;
            written += report.created;
        }
    }
    println!("imported files: {count} cases, {rows} rows, {written} tracks, no panic");
    assert!(written > count as u64 / 10, "{written}");
}
