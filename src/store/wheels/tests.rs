//! Stores with files that never were in a wheel.

use super::*;

fn file(scheme: Scheme, path: &str, contents: &str) -> UnpackedFile {
    UnpackedFile {
        scheme,
        path: path.into(),
        sha256: Digest::of(contents),
        size: contents.len() as u64,
        executable: scheme == Scheme::Scripts,
    }
}

fn root() -> (tempfile::TempDir, Root) {
    let temporary = tempfile::tempdir().unwrap();
    let root = Root::at(temporary.path(), None);
    (temporary, root)
}

#[test]
fn what_is_published_is_found_sorted() {
    let (_temporary, root) = root();
    let wheel = Digest::of("wheel");
    assert_eq!(find(&root, &wheel).unwrap(), None);
    let staging = Staging::beside(&directory(&root, &wheel), &root).unwrap();
    let files = vec![
        file(Scheme::Scripts, "a b", "x"),
        file(Scheme::SitePackages, "p/ü.py", ""),
        file(Scheme::SitePackages, "p/__init__.py", ""),
    ];
    files::create_directories(&staging.directory_of(Scheme::SitePackages).join("p")).unwrap();
    files::write(
        &staging.directory_of(Scheme::SitePackages).join("p/ü.py"),
        b"",
    )
    .unwrap();
    let published = staging.publish(files).unwrap();
    let found = find(&root, &wheel).unwrap().unwrap();
    assert_eq!(found, published);
    let paths: Vec<String> = found.files.iter().map(|f| f.installed((3, 11))).collect();
    assert_eq!(
        paths,
        [
            "lib/python3.11/site-packages/p/__init__.py",
            "lib/python3.11/site-packages/p/ü.py",
            "bin/a b"
        ]
    );
    assert!(files::exists(&found.source(&found.files[1])));
}

#[test]
fn who_comes_second_uses_what_is_there() {
    let (_temporary, root) = root();
    let directory = directory(&root, &Digest::of("wheel"));
    let first = Staging::beside(&directory, &root).unwrap();
    let second = Staging::beside(&directory, &root).unwrap();
    let files = vec![file(Scheme::Data, "x", "x")];
    let first = first.publish(files.clone()).unwrap();
    assert_eq!(second.publish(files).unwrap(), first);
    let names = files::names(directory.parent().unwrap()).unwrap();
    assert_eq!(names, [Digest::of("wheel").to_string()]);
}

#[test]
fn a_damaged_list_is_named_with_its_line() {
    let good = format!("{HEADER}\n{}", file(Scheme::Data, "x", "x").line());
    assert_eq!(parse(&good).unwrap().len(), 1);
    assert_eq!(parse(""), Err(0));
    assert_eq!(parse("rootstock shelf 2\n"), Err(1));
    assert_eq!(parse(good.trim_end()), Err(2));
    assert_eq!(parse(&good.replace("0444", "0644")), Err(2));
    assert_eq!(parse(&good.replace("data/", "date/")), Err(2));
}
