//! Rule sets of other programs (`tests/translations`), each as one would write it here, with what it has to do and to leave.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::sandbox::Sandbox;

const PROGRAM: &str = env!("CARGO_BIN_EXE_mailsluice");

#[test]
fn rule_sets_of_other_programs_do_what_they_did() {
    let folder = Path::new("tests/translations").canonicalize().unwrap();
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "yaml"));
    files.sort();
    assert_eq!(files.len(), 175);
    let sandbox = Sandbox::new(PROGRAM);
    let mut failed = String::new();
    for file in files {
        let path = file.to_str().unwrap();
        let output = match path.ends_with(".config.yaml") {
            true => sandbox.run(&["--allow-root", "test", "-c", path]),
            false => sandbox.run(&["--allow-root", "test", path]),
        };
        let has_passed = output.code == 0 && !output.stderr.starts_with("0 passed");
        if !has_passed {
            failed += &format!("{path}: {output}\n");
        }
    }
    assert!(failed.is_empty(), "{failed}");
}
