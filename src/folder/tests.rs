use super::*;
use crate::id::{Offset, Partition, Seq};

/// A folder as a running engine leaves it: 100 events committed, 60 in Parquet, blocks from 50 on, 30 outputs of which 20 are
/// published, one partition read up to 1000 of 1200.
fn whole() -> Parts {
    let own = Some(Identity::of("own"));
    let read = ReadPosition {
        topic: "t".into(),
        partition: Partition(1),
        next: Offset(1000),
        extent: Extent { start: Offset(10), end: Offset(1200) },
        last: Stands::Same,
    };
    Parts {
        identity: own,
        missing: Vec::new(),
        log: Some(LogPart { identity: own, outputs: 22 }),
        online: Some(OnlinePart { identity: own, committed: Seq(100), first_block: Seq(50), outputs: 30, published: 20, read: vec![read] }),
        offline: Some(OfflinePart { identity: own, before: Seq(60), after: Seq(60) }),
        is_written_beside: false,
    }
}

fn online(parts: &mut Parts) -> &mut OnlinePart {
    parts.online.as_mut().unwrap()
}

/// Each change of the folder, and what the first objection to it says; an empty text where there is none.
#[test]
fn what_does_not_belong_together_is_named_with_the_way_out() {
    let strange = || Some(Identity::of("strange"));
    let cases: &[(&str, &dyn Fn(&mut Parts), &[&str])] = &[
        ("as it is", &|_| {}, &[]),
        ("a folder of before", &|parts| *parts = Parts { identity: None, ..unmarked(whole()) }, &[]),
        ("an empty folder", &|parts| *parts = Parts::default(), &[]),
        ("without its own file", &|parts| parts.identity = None, &[]),
        ("log of another", &|parts| parts.log.as_mut().unwrap().identity = strange(), &["log/ is of the data folder", "put back the log/"]),
        ("online of another", &|parts| online(parts).identity = strange(), &["online/ is of the data folder"]),
        ("offline of another", &|parts| parts.offline.as_mut().unwrap().identity = strange(), &["offline/ is of the data folder"]),
        ("no log", &|parts| parts.missing = vec![Part::Log], &["log/ is missing", "a new data folder"]),
        ("no online", &|parts| parts.missing = vec![Part::Online], &["online/ is missing", "`forebay rebuild state`"]),
        ("no offline", &|parts| parts.missing = vec![Part::Offline], &["offline/ is missing", "`forebay rebuild offline`"]),
        ("no log, of before", &|parts| (parts.log, online(parts).read[0].extent) = (None, Extent::default()), &["ends at offset 0"]),
        ("no offline, of before", &|parts| parts.offline = None, &["up to seq 0", "from 50 on", "`forebay rebuild offline`"]),
        ("no online, of before", &|parts| parts.online = None, &["online/ those up to 0", "`forebay rebuild state`"]),
        ("log without its end", &|parts| end(parts, 900), &["ends at offset 900", "read up to 1000"]),
        ("log without its end, written on", &|parts| other(parts), &["the record at offset 999 is not the one"]),
        ("log without its start", &|parts| online(parts).read[0].last = Stands::NotHeld, &[]),
        ("log that lost what it was given", &|parts| parts.log.as_mut().unwrap().outputs = 19, &["given them up to 20"]),
        ("log that has all it was given", &|parts| parts.log.as_mut().unwrap().outputs = 20, &[]),
        ("log that was given more", &|parts| parts.log.as_mut().unwrap().outputs = 31, &["has made 30", "`forebay rebuild state`"]),
        ("online built anew", &|parts| anew(parts), &[]),
        ("online before offline", &|parts| online(parts).committed = Seq(59), &["those up to 59"]),
        ("offline before online", &|parts| parts.offline.as_mut().unwrap().after = Seq(48), &["up to seq 48"]),
        ("offline just before the blocks", &|parts| parts.offline.as_mut().unwrap().after = Seq(49), &[]),
        ("beside a writer", &|parts| (parts.is_written_beside, ()) = (true, end(parts, 900)), &[]),
        ("beside a writer that publishes", &|parts| (parts.is_written_beside, parts.log.as_mut().unwrap().outputs) = (true, 19), &[]),
    ];
    for (about, change, said) in cases {
        let mut parts = whole();
        change(&mut parts);
        let found = objections(&parts);
        let text = found.first().cloned().unwrap_or_default();
        assert_eq!(found.is_empty(), said.is_empty(), "{about}: {found:?}");
        for part in *said {
            assert!(text.contains(part), "{about}: {text:?} does not say {part:?}");
        }
        assert!(found.iter().all(|said| said.contains("restore the whole data folder from one copy")), "{about}: {found:?}");
    }
}

fn unmarked(mut parts: Parts) -> Parts {
    parts.log.as_mut().unwrap().identity = None;
    parts.online.as_mut().unwrap().identity = None;
    parts.offline.as_mut().unwrap().identity = None;
    parts
}

fn end(parts: &mut Parts, end: u64) {
    let read = &mut online(parts).read[0];
    (read.extent.end, read.last) = (Offset(end), Stands::NotHeld);
}

fn other(parts: &mut Parts) {
    let read = &mut online(parts).read[0];
    (read.extent.end, read.last) = (Offset(1100), Stands::Other);
}

fn anew(parts: &mut Parts) {
    parts.online = Some(OnlinePart { first_block: Seq(1), ..OnlinePart::default() });
    parts.offline = None;
}

#[test]
fn a_version_that_is_not_known_is_named_before_anything_is_opened() {
    let data = tempfile::tempdir().unwrap();
    let folder = Folder::open_to_write(data.path()).unwrap();
    assert_eq!((folder.identity(), folder.missing()), (None, Vec::new()));
    drop(folder);
    let text = r#"{"version":3,"written_by":"9.1.0","identity":"?","parts":[]}"#;
    std::fs::write(data.path().join("folder.json"), text).unwrap();
    for refused in [Folder::open_to_write(data.path()), Folder::open_read_only(data.path())] {
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind(), crate::error::ErrorKind::Conflict);
        assert!(refused.to_string().contains("has version 3, written by forebay 9.1.0"), "{refused}");
    }
    for damaged in ["", "{", "{}", r#"{"version":"1"}"#, r#"{"version":1,"written_by":"","identity":"12","parts":[]}"#] {
        std::fs::write(data.path().join("folder.json"), damaged).unwrap();
        assert_eq!(Folder::open_read_only(data.path()).unwrap_err().kind(), crate::error::ErrorKind::Corrupt, "{damaged}");
    }
}

#[test]
fn what_was_made_and_is_gone_is_missing() {
    let data = tempfile::tempdir().unwrap();
    let mut folder = Folder::open_to_write(data.path()).unwrap();
    let own = Identity::of("own");
    folder.note(own, &[Part::Log]).unwrap();
    assert_eq!(folder.missing(), [Part::Log]);
    std::fs::create_dir_all(folder.part(Part::Log)).unwrap();
    std::fs::write(folder.part(Part::Log).join("CURRENT"), "").unwrap();
    assert_eq!(folder.missing(), []);
    drop(folder);
    let folder = Folder::open_read_only(data.path()).unwrap();
    assert_eq!((folder.identity(), folder.missing()), (Some(own), Vec::new()));
}
