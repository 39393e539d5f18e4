//! Files that are not what they should be: left alone, byte for byte, and everybody who could be in them told so.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use quietus_contract::{Finding, Outcome};

use crate::archive::{Archive, packed, target};

fn fails(archive: &Archive, place: &str) {
    let outcomes = archive.erase(&[target(1, "customer_id:4711")]);
    let Outcome::Failed(failure) = &outcomes[0] else { panic!("{place}: {outcomes:?}") };
    assert!(failure.detail.contains(place), "{place}: {failure}");
    assert!(!failure.detail.contains("4711"), "{failure}");
    assert_eq!(archive.leftovers(), Vec::<String>::new());
}

#[test]
fn what_cannot_be_understood_is_left_alone_with_its_line() {
    let ours = "{\"user\":4711}\n";
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let long = format!("{{\"x\":\"{}\"}}\n", "y".repeat(17 << 20));
    let text: [(&str, Vec<u8>, u64); 9] = [
        ("dt=1/a.jsonl", [ours.as_bytes(), b"{\"user\":\"\xff\xfe\"}\n"].concat(), 2),
        ("dt=1/a.jsonl", format!("{ours}{{\"a\":{deep}}}\n").into_bytes(), 2),
        ("dt=1/a.jsonl", format!("{ours}{long}").into_bytes(), 2),
        ("dt=1/a.jsonl", format!("{ours}{ours}{{\"user\":").into_bytes(), 3),
        ("dt=1/a.jsonl", format!("{ours}\0\0\0\n").into_bytes(), 2),
        ("a.csv", b"mail,user\na,4711\nb,\"never closed\nc,4711\n".to_vec(), 3),
        ("a.csv", b"mail;user\na;4711\n".to_vec(), 1),
        ("a.csv", b"mail,user\na,4711\nb\n".to_vec(), 3),
        ("a.csv", [b"mail,user\na,4711\n\"".as_slice(), &vec![b'x'; 17 << 20]].concat(), 3),
    ];
    for (path, bytes, line) in text {
        for path in [path.to_owned(), format!("{path}.gz")] {
            let archive = Archive::new();
            archive.put(&path, &bytes);
            let before = fs::read(archive.root.join(&path)).expect("the file");
            fails(&archive, &format!("{path}:{line}: "));
            assert_eq!(fs::read(archive.root.join(&path)).expect("the file"), before, "{path}");
        }
    }
}

#[test]
fn damaged_compression_is_left_alone() {
    let whole = packed("x.gz", "{\"user\":4711}\n".repeat(5_000).as_bytes());
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    for bytes in [
        &whole[..whole.len() - 3],
        &whole[..12],
        &flipped,
        b"{\"user\":4711}\n",
        &[&*whole, b"rest"].concat(),
    ] {
        let archive = Archive::new();
        let path = archive.root.join("dt=1/a.jsonl.gz");
        fs::write(&path, bytes).expect("a file");
        fails(&archive, "dt=1/a.jsonl.gz:");
        assert_eq!(fs::read(&path).expect("the file"), bytes);
        assert!(matches!(
            archive.verify(&target(1, "customer_id:4711")).finding,
            Finding::Unreadable(_) | Finding::Found { .. }
        ));
    }
}

#[test]
fn nothing_outside_the_folder_is_read_or_replaced() {
    let (archive, outside) = (Archive::new(), Archive::new());
    outside.put("dt=1/a.jsonl", b"{\"user\":4711}\n");
    symlink(outside.root.join("dt=1/a.jsonl"), archive.root.join("dt=1/l.jsonl")).expect("a link");
    fails(&archive, "dt=1/l.jsonl");
    assert!(archive.check().iter().any(|p| p.fatal && p.detail.contains("dt=1/l.jsonl")));
    fs::remove_file(archive.root.join("dt=1/l.jsonl")).expect("the link");
    symlink(outside.root.join("dt=1"), archive.root.join("dt=2")).expect("a link");
    fails(&archive, "dt=2");
    assert!(matches!(archive.verify(&target(1, "customer_id:4711")).finding, Finding::Unreadable(_)));
    assert_eq!(outside.get("dt=1/a.jsonl"), b"{\"user\":4711}\n");
}

#[test]
fn a_file_with_a_second_name_is_told_because_that_one_would_keep_the_lines() {
    let archive = Archive::new();
    archive.put("dt=1/a.jsonl", b"{\"user\":4711}\n");
    fs::hard_link(archive.root.join("dt=1/a.jsonl"), archive.root.join("dt=1/kept")).expect("a second name");
    fails(&archive, "dt=1/a.jsonl");
}

#[test]
fn the_others_files_are_done_and_the_answer_says_that_something_may_have_gone() {
    let archive = Archive::new();
    archive.put("dt=1/a.jsonl", b"{\"user\":4711}\n{\"user\":1}\n");
    archive.put("dt=1/b.jsonl", b"no json\n");
    let outcomes = archive.erase(&[target(1, "customer_id:4711"), target(2, "customer_id:9")]);
    assert!(
        matches!(&outcomes[0], Outcome::Failed(f) if f.might_have_happened && !f.may_retry),
        "{outcomes:?}"
    );
    assert!(matches!(&outcomes[1], Outcome::Failed(f) if !f.might_have_happened), "{outcomes:?}");
    assert_eq!(archive.get("dt=1/a.jsonl"), b"{\"user\":1}\n");
}

#[test]
fn rights_of_the_file_stay() {
    let archive = Archive::new();
    archive.put("dt=1/a.jsonl", b"{\"user\":4711}\n");
    let path = archive.root.join("dt=1/a.jsonl");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("rights");
    assert_eq!(archive.erase(&[target(1, "customer_id:4711")]), [Outcome::Removed(1)]);
    assert_eq!(fs::metadata(&path).expect("the file").permissions().mode() & 0o7777, 0o640);
    assert_eq!(archive.get("dt=1/a.jsonl"), b"");
}
