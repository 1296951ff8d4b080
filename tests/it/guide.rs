//! The guide, the README and their translations: each config in them passes `check` as it stands, each command line is one that the
//! program reads, and each link leads to a page.

use std::fs;
use std::path::{Path, PathBuf};

use crate::docs::problems;

/// The pages that a user follows word by word.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![PathBuf::from("README.md"), PathBuf::from("docs/coming-from.md")];
    for folder in ["docs/guide", "docs/zh"] {
        pages.extend(fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    }
    pages.retain(|path| path.exists());
    assert!(pages.len() > 15, "{pages:?}");
    pages
}

/// The blocks of a page in this language, each with the line that it begins at.
fn blocks(page: &Path, language: &str) -> Vec<(usize, String)> {
    let text = fs::read_to_string(page).unwrap();
    let (mut blocks, mut open) = (Vec::new(), None::<(usize, String)>);
    for (number, line) in (1..).zip(text.lines()) {
        match &mut open {
            Some(_) if line == "```" => blocks.extend(open.take()),
            Some((_, block)) => *block += &format!("{line}\n"),
            None if line == format!("```{language}") => open = Some((number, String::new())),
            None => {}
        }
    }
    assert!(open.is_none(), "{}: a block does not end", page.display());
    blocks
}

#[test]
fn every_config_can_be_pasted_as_it_stands() {
    let (mut seen, mut wrong) = (0, String::new());
    for page in pages() {
        for (line, yaml) in blocks(&page, "yaml") {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("config.yaml");
            fs::write(&path, &yaml).unwrap();
            assert!(yaml.contains("maildir:"), "{}:{line} is no whole config", page.display());
            let said = problems(&path);
            if !said.is_empty() {
                wrong += &format!("{}:{line}:\n{said}\n", page.display());
            }
            seen += 1;
        }
    }
    assert_eq!(wrong, "");
    assert!(seen > 25, "{seen}");
}

#[test]
fn every_test_in_a_config_passes() {
    let program = env!("CARGO_BIN_EXE_mailsluice");
    for page in pages() {
        for (line, yaml) in blocks(&page, "yaml").into_iter().filter(|(_, yaml)| yaml.contains("\ntests:")) {
            let sandbox = crate::support::sandbox::Sandbox::new(program);
            sandbox.config(&yaml);
            let output = sandbox.run(&["test"]);
            assert_eq!(output.code, 0, "{}:{line}: {output}", page.display());
        }
    }
}

#[test]
fn every_command_line_is_read() {
    let (mut seen, mut wrong) = (0, String::new());
    for page in pages() {
        for (line, block) in blocks(&page, "sh") {
            for typed in block.lines() {
                let typed = typed.split(" #").next().unwrap().trim();
                let Some(at) = typed.find("mailsluice").filter(|_| is_ours(typed)) else { continue };
                let words: Vec<String> = words(&typed[at..]);
                if !mailsluice::cli::is_command_line(&words) {
                    wrong += &format!("{}:{line}: {typed}\n", page.display());
                }
                seen += 1;
            }
        }
    }
    assert_eq!(wrong, "");
    assert!(seen > 40, "{seen}");
}

/// A line that starts the program, and does not only name its files.
fn is_ours(typed: &str) -> bool {
    typed.starts_with("mailsluice ") || typed.starts_with("sudo -Hu mailsluice mailsluice ")
}

/// The words of a line, as a shell reads them as far as the pages need it.
fn words(typed: &str) -> Vec<String> {
    let typed =
        typed.strip_prefix("mailsluice mailsluice").map_or(typed.to_owned(), |rest| format!("mailsluice{rest}"));
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in typed.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c == '<' || c == '>' || c == '|' => break,
            None if c == ' ' => words.extend((!word.is_empty()).then(|| std::mem::take(&mut word))),
            _ => word.push(c),
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

#[test]
fn every_link_leads_to_a_page() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let Some((path, _)) = link.split_once('#').or(Some((link, ""))) else { continue };
            if path.is_empty() || path.starts_with("http") {
                continue;
            }
            let target = page.parent().unwrap().join(path);
            assert!(target.exists(), "{}: {link}", page.display());
        }
    }
}
