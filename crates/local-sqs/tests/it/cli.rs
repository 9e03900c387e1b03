use local_sqs::cli::Settings;
use local_sqs::default_queues;
use service_kit::settings::{Problems, Reader};

fn read(env: &[(&str, &str)]) -> Result<Settings, Problems> {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut reader = Reader::load(Settings::table(), None, env);
    let settings = Settings::read(&mut reader);
    reader.finish(settings)
}

#[test]
fn without_settings_it_listens_on_loopback_and_has_the_four_queues() {
    let settings = read(&[]).unwrap();
    assert_eq!(settings.addr.to_string(), "127.0.0.1:9324");
    assert_eq!(settings.queues, default_queues());
}

#[test]
fn a_queue_that_sqs_would_refuse_is_a_problem_of_its_setting() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "[[queue]]\nname = \"q\"\nattributes = { DelaySeconds = \"901\" }")
        .unwrap();
    let path = file.path().to_str().unwrap();
    let problems = read(&[("LOCAL_SQS_QUEUES", path), ("LOCAL_SQS_ADDR", "nowhere")]).unwrap_err();
    let text = problems.to_string();
    for part in ["LOCAL_SQS_ADDR", "nowhere", "LOCAL_SQS_QUEUES", path, "queue q", "DelaySeconds"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}
