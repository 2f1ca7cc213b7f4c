//! Shelves with files that never were in a wheel.

use super::*;

fn file(place: Place, path: &str, contents: &str) -> ShelvedFile {
    ShelvedFile {
        place,
        path: path.into(),
        sha256: Digest::of(contents),
        size: contents.len() as u64,
        executable: place == Place::Scripts,
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
    assert_eq!(find_wheel(&root, &wheel).unwrap(), None);
    let staging = Staging::beside(&wheel_directory(&root, &wheel), &root).unwrap();
    let files = vec![
        file(Place::Scripts, "a b", "x"),
        file(Place::SitePackages, "p/ü.py", ""),
        file(Place::SitePackages, "p/__init__.py", ""),
    ];
    files::create_directories(&staging.place(Place::SitePackages).join("p")).unwrap();
    files::write(&staging.place(Place::SitePackages).join("p/ü.py"), b"").unwrap();
    let published = staging.publish(files).unwrap();
    let found = find_wheel(&root, &wheel).unwrap().unwrap();
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
    let directory = wheel_directory(&root, &Digest::of("wheel"));
    let first = Staging::beside(&directory, &root).unwrap();
    let second = Staging::beside(&directory, &root).unwrap();
    let files = vec![file(Place::Data, "x", "x")];
    let first = first.publish(files.clone()).unwrap();
    assert_eq!(second.publish(files).unwrap(), first);
    let names = files::names(directory.parent().unwrap()).unwrap();
    assert_eq!(names, [Digest::of("wheel").to_string()]);
}

#[test]
fn a_damaged_list_is_named_with_its_line() {
    let good = format!("{HEADER}\n{}", file(Place::Data, "x", "x").line());
    assert_eq!(parse(&good).unwrap().len(), 1);
    assert_eq!(parse(""), Err(0));
    assert_eq!(parse("rootstock shelf 2\n"), Err(1));
    assert_eq!(parse(good.trim_end()), Err(2));
    assert_eq!(parse(&good.replace("0444", "0644")), Err(2));
    assert_eq!(parse(&good.replace("data/", "date/")), Err(2));
}

#[test]
fn only_the_staging_of_processes_that_are_gone_is_swept() {
    let (_temporary, root) = root();
    let shelf = root.store().join(WHEELS);
    let us = maker::this_process();
    let mut parts: Vec<&str> = us.split('-').collect();
    // Our own number, given to a process that started at another time.
    parts[3] = "1";
    let dead = format!("{STAGING}{}-abc", parts.join("-"));
    let elsewhere = format!("{STAGING}other-1-1-1-abc");
    for name in [&dead, &elsewhere, "0123"] {
        files::create_directories(&shelf.join(name).join("tree")).unwrap();
    }
    let ours = Staging::beside(&shelf.join("4567"), &root).unwrap();
    sweep(&root).unwrap();
    let mut left = vec![elsewhere, "0123".to_owned()];
    left.push(ours.path().file_name().unwrap().to_string_lossy().into());
    left.sort();
    assert_eq!(files::names(&shelf).unwrap(), left);
}
