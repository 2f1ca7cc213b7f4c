//! Yanked files (PEP 592): not locked while another one fits; a version that is yanked as a whole only where it is pinned.

use rootstock::digest::Digest;
use snapbox::str;

use crate::sandbox::{Index, Output, Sandbox, Sdist, Wheel};

const BETTER: &str = "foo-1.0-py311-none-any.whl";
const PLAIN: &str = "foo-1.0-py3-none-any.whl";

/// `foo 1.0` with a wheel that fits better than the other.
fn add_two(index: &Index) {
    index.add(&Wheel::simple("foo", "1.0"));
    index.add(&Wheel::simple("foo", "1.0").tagged("py311-none-any"));
}

#[track_caller]
fn locks(sandbox: &Sandbox, file: &str) -> Output {
    let output = sandbox.run(&["lock"]);
    output.expect(0);
    let lock = sandbox.read("rootstock.lock");
    assert!(lock.contains(&format!("\"{file}\"")), "{lock}");
    output
}

#[test]
fn a_file_that_is_not_yanked_goes_before_a_better_one_that_is() {
    for html in [false, true] {
        for reason in ["", "built on <the wrong> machine"] {
            let sandbox = Sandbox::new(&[("one", &["foo"])]);
            add_two(&sandbox.index);
            if html {
                sandbox.index.speak_html();
            }
            sandbox.index.yank(BETTER, reason);
            locks(&sandbox, PLAIN);
        }
    }
}

#[test]
fn the_better_file_is_locked_where_none_is_yanked() {
    let sandbox = Sandbox::new(&[("one", &["foo"])]);
    add_two(&sandbox.index);
    locks(&sandbox, BETTER);
}

#[test]
fn an_index_with_credentials_marks_yanked_files_too() {
    let sandbox = Sandbox::new(&[("one", &["foo"])]);
    let own = Index::start();
    add_two(&own);
    own.yank(BETTER, "broken");
    own.guard("me", "pw");
    sandbox.more(&format!(
        "indexes = {{ foo = \"our-own\" }}\n\n[indexes.our-own]\nurl = \"{}\"\n",
        own.url()
    ));
    let mut command = sandbox.command(&["lock"]);
    command
        .env("UV_INDEX_OUR_OWN_USERNAME", "me")
        .env("UV_INDEX_OUR_OWN_PASSWORD", "pw");
    Output::from(command.output().unwrap()).expect(0);
    let lock = sandbox.read("rootstock.lock");
    assert!(lock.contains(PLAIN) && !lock.contains(BETTER), "{lock}");
}

#[test]
fn the_default_index_is_asked_with_the_password_in_its_address() {
    let sandbox = Sandbox::new(&[("one", &["foo"])]);
    add_two(&sandbox.index);
    sandbox.index.yank(BETTER, "broken");
    sandbox.index.guard("me", "s3cr3t");
    let mut command = sandbox.command(&["lock"]);
    let url = sandbox.index.url().replace("//", "//me:s3cr3t@");
    command.env("UV_DEFAULT_INDEX", url);
    let result = Output::from(command.output().unwrap());
    result.expect(0);
    assert!(!result.message().contains("s3cr3t"), "{result:?}");
    let lock = sandbox.read("rootstock.lock");
    assert!(lock.contains(PLAIN) && !lock.contains(BETTER), "{lock}");
}

#[test]
fn an_html_page_marks_yanked_files_too() {
    let sandbox = Sandbox::new(&[("one", &["foo"])]);
    let elsewhere = Index::start();
    add_two(&elsewhere);
    let link = |wheel: &Wheel, mark: &str| {
        let (address, digest) = (
            elsewhere.address(&wheel.file_name()),
            Digest::of(wheel.bytes()),
        );
        format!("<a {mark} href=\"{address}#sha256={digest}\">x</a>")
    };
    let plain = Wheel::simple("foo", "1.0");
    let better = plain.clone().tagged("py311-none-any");
    let links = link(&better, "data-yanked") + &link(&plain, "");
    sandbox.write("links/index.html", &links);
    let page = format!("file://{}", sandbox.path("links/index.html").display());
    sandbox.more(&format!(
        "indexes = {{ foo = \"page\" }}\n\n[indexes.page]\nfind-links = \"{page}\"\n"
    ));
    let output = locks(&sandbox, PLAIN);
    assert!(!output.message().contains("is yanked"), "{output:?}");
    let all = link(&better, "data-yanked") + &link(&plain, "data-yanked");
    sandbox.write("links/index.html", &all);
    let output = sandbox.run(&["lock", "--upgrade"]);
    output.expect(1);
    output.stderr_is(&sandbox, str![[r#"
resolving one …
  × one environment could not be locked
Error:
  × environment `one` needs what cannot be installed on [MACHINE] (glibc 2.28) with Python 3.11: `foo 1.0` is yanked: exclude it with `foo!=1.0`, or take it nevertheless with `foo==1.0`
  help: constrain the package to a version with a wheel, or exclude it
as before in the lock: environment one
"#]]);
    sandbox.write_source("one", &["foo==1.0"], "");
    let output = locks(&sandbox, BETTER);
    output.stderr_is(
        &sandbox,
        str![[r#"
resolving one …
warning: `foo 1.0`, which `one` asks for, is yanked: its maintainers advise against it
"#]],
    );
}

#[test]
fn a_version_that_is_yanked_as_a_whole_is_taken_only_where_it_is_pinned() {
    let sandbox = Sandbox::new(&[("one", &["foo"]), ("two", &["foo==1.0"])]);
    add_two(&sandbox.index);
    sandbox.index.add(&Wheel::simple("foo", "0.9"));
    sandbox.index.yank(BETTER, "");
    sandbox.index.yank(PLAIN, "");
    let output = locks(&sandbox, "foo-0.9-py3-none-any.whl");
    assert!(sandbox.read("rootstock.lock").contains(BETTER));
    output.stderr_is(
        &sandbox,
        str![[r#"
resolving one …
resolving two …
warning: `foo 1.0`, which `two` asks for, is yanked: its maintainers advise against it
"#]],
    );
    // What is locked stays until it is upgraded.
    let before = sandbox.read("rootstock.lock");
    sandbox.index.yank("foo-0.9-py3-none-any.whl", "");
    sandbox.index.add(&Wheel::simple("bar", "1.0"));
    sandbox.write_source("one", &["foo", "bar"], "");
    locks(&sandbox, "foo-0.9-py3-none-any.whl");
    assert_ne!(sandbox.read("rootstock.lock"), before);
}

#[test]
fn a_source_distribution_goes_before_a_yanked_wheel() {
    let sandbox = Sandbox::new(&[("one", &["foo"])]);
    sandbox.index.add(&Wheel::simple("foo", "1.0"));
    sandbox.index.add_sdist(&Sdist::new("foo", "1.0"));
    sandbox.index.yank(PLAIN, "broken");
    let output = sandbox.run(&["lock"]);
    output.expect(1).stderr_is(&sandbox, str![[r#"
resolving one …
  × one environment could not be locked
Error:
  × environment `one` needs what cannot be installed on [MACHINE] (glibc 2.28) with Python 3.11: `foo 1.0` has no wheel that fits and is not yanked, only a source distribution
  help: building runs the package's own code; to allow it, write under [environments.one]: sdists = ["foo"] or constrain the package to a version with a wheel
"#]]);
}
