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

#[test]
fn queues_may_name_each_other_by_arns_of_the_account_and_region_that_are_set() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let policy =
        r#"{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:123456789012:d","maxReceiveCount":2}"#;
    let toml = format!(
        "[[queue]]\nname = \"d\"\n[[queue]]\nname = \"q\"\n[queue.attributes]\nRedrivePolicy = '{policy}'"
    );
    std::fs::write(&file, toml).unwrap();
    let path = file.path().to_str().unwrap();
    let queues = ("LOCAL_SQS_QUEUES", path);
    let settings =
        [queues, ("LOCAL_SQS_ACCOUNT", "123456789012"), ("LOCAL_SQS_REGION", "eu-west-1")];
    assert_eq!(read(&settings).unwrap().queues.len(), 2);
    assert!(read(&[queues]).unwrap_err().to_string().contains("Dead letter target"));
}

#[test]
fn faults_come_from_a_toml_file_and_are_checked() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let toml = "seed = 7\n[[rules]]\noperation = \"SendMessage\"\nerror_rate = 0.5\nerror = \"Throttling\"\n\
                latency = { kind = \"uniform\", min_ms = 1.0, max_ms = 2.0 }";
    std::fs::write(&file, toml).unwrap();
    let faults = read(&[("LOCAL_SQS_FAULTS", path)]).unwrap().faults;
    assert_eq!((faults.seed, faults.rules.len()), (7, 1));
    std::fs::write(&file, "[[rules]]\nerror_rate = 2.0").unwrap();
    let problems = read(&[
        ("LOCAL_SQS_FAULTS", path),
        ("LOCAL_SQS_ACCOUNT", "1"),
        ("LOCAL_SQS_DELETED_NAME_INTERVAL", "2 days"),
    ]);
    let text = problems.unwrap_err().to_string();
    for part in [path, "error_rate is 2", "twelve digits", "LOCAL_SQS_DELETED_NAME_INTERVAL"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}
