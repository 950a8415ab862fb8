//! An upgrade and the way back, with a folder that the version before wrote (`fixtures/former`).

use forebay_integration::answers::read_ndjson;

use super::*;

/// The folder of the version before, as it left it.
fn former() -> Project {
    let project = Project::new("");
    fs::remove_dir_all(project.path("features")).expect("its features");
    let unpacked = Command::new("tar").arg("-xzf").arg(here("fixtures/former/folder.tar.gz")).arg("-C").arg(project.path("")).status();
    assert!(unpacked.expect("tar is there").success());
    project
}

fn assert_expected(project: &Project, of: &Project) {
    project.catch_up();
    for expected in read_ndjson(&of.read("expected.ndjson")) {
        let (key, time) = (format!("k={}", expected["k"]), expected["as_of"].as_str().expect("a time"));
        let answer = read_json(&project.run(&["lookup", "everything", &key, "--as-of", time, "--output", "json"]).ok().stdout);
        assert_eq!(answer["values"][0], expected["values"], "{key} at {time}");
    }
    let expected = read_ndjson(&of.read("predictions.ndjson"));
    let predictions: Vec<Json> =
        read_topic(project, "predictions").iter().map(|one| json!([one.value["offset"], one.value["score"]])).collect();
    assert_eq!(predictions, expected, "each once, with the score that it had");
    assert!(project.run(&["verify"]).ok().stdout.contains("the same bits"));
}

#[test]
fn a_folder_of_the_version_before_is_taken_over_and_can_be_had_back() {
    if !onnx_runtime() {
        return;
    }
    let project = former();
    // Before the upgrade: a copy that is not taken over by making it.
    let untouched = former();
    let made = checkpoint(&project, "backup");
    assert_eq!(made["warnings"], json!([]), "{made}");
    for file in files_below(&untouched.data()) {
        let below = file.strip_prefix(untouched.data()).expect("below").to_owned();
        let (was, copied) = (fs::read(&file).expect("a file"), fs::read(project.path("backup/00000001").join(&below)).expect("its copy"));
        assert!(was == copied, "{} is copied bit for bit", below.display());
        assert!(was == fs::read(project.data().join(&below)).expect("a file"), "{} is left as it was", below.display());
    }
    assert_expected(&project, &untouched);

    // The way back: what the version before wrote, byte for byte, but for the place of its definitions.
    let (back, ended) = restored(&project.path("backup").display().to_string(), &[], &[]);
    let _ = ended.ok();
    for file in files_below(&untouched.data()) {
        let below = file.strip_prefix(untouched.data()).expect("below").to_owned();
        if !below.starts_with("definitions") {
            assert!(fs::read(&file).expect("a file") == fs::read(back.data().join(&below)).expect("a file"), "{}", below.display());
        }
    }
    assert_expected(&back, &untouched);
}
