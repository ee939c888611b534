//! The tasks that are known: what they ask for, and how a job is written as one.

use serde_json::{Map, Value, json};
use soniquebay_domain::{
    Attempts, ContentHash, Job, JobId, JobKind, MetadataHash, NewJob, Space, Timestamp, TrackFields,
};
use soniquebay_wire::{read_fields, write_fields};

use super::failure::Failure;
use super::keys::job_subject;
use super::message::{Draft, Message, SPACE, SUBJECT, read_track};

/// Names of the tasks, as `celery inspect registered` lists them.
pub(super) const NAMES: [&str; 4] =
    ["analysis.analyze_track", "calculate_vector", "calculate_vector_if_needed", "vectorization.calculate"];

/// The job that a message asks for.
pub(super) fn read(message: &Message, default: &Space, attempts: u32) -> Result<Job, Failure> {
    let (kind, parameters): (_, &[&str]) = match message.task.as_str() {
        "calculate_vector" | "vectorization.calculate" => (JobKind::EmbedTrack, &["track_id", "metadata"]),
        "calculate_vector_if_needed" => (JobKind::EmbedIfNeeded, &["track_id"]),
        "analysis.analyze_track" => (JobKind::AnalyzeTrack, &["track_id", "metadata"]),
        other => return Err(Failure::not_registered(other)),
    };
    if message.is_in_chord() {
        let reason = "a chord counts its members by Celery's own means, which this worker has not: send it alone";
        return Err(Failure::invalid(reason.into()));
    }
    let call = |reason: String| Failure::arguments(format!("{}() {reason}", message.task));
    if message.args.len() > parameters.len() {
        let (most, given) = (parameters.len(), message.args.len());
        return Err(call(format!("takes {most} positional arguments but {given} were given")));
    }
    if let Some(name) = message.kwargs.keys().find(|name| !parameters.contains(&name.as_str())) {
        return Err(call(format!(
            "got an unexpected keyword argument '{}'",
            name.chars().take(64).collect::<String>()
        )));
    }
    let argument = |index: usize| {
        message.args.get(index).or_else(|| message.kwargs.get(*parameters.get(index)?)).filter(|value| !value.is_null())
    };
    let track_id = argument(0).and_then(read_track).ok_or_else(|| call("needs a track_id, a number above 0".into()))?;
    let space = match message.space() {
        None => default.clone(),
        Some(name) => Space::parse(name).map_err(|error| Failure::arguments(error.to_string()))?,
    };
    Ok(Job {
        id: JobId::new(&message.id),
        kind,
        track_id,
        space,
        attempts: Attempts { made: message.retries, allowed: attempts },
        told: argument(1).and_then(Value::as_object).and_then(|metadata| read_fields(metadata.clone())).map(Box::new),
    })
}

/// What tells whether a job says something new of its track.
pub(super) fn fingerprint(told: Option<&TrackFields>) -> String {
    told.map_or_else(String::new, |told| format!("{}{}", ContentHash::of(told), MetadataHash::of(told)))
}

/// A job as a message; a space that is not the default is named in it.
pub(super) fn write(job: &NewJob, id: &str, queue: &str, default: &Space, eta: Option<Timestamp>) -> Vec<u8> {
    let track = job.track_id.get();
    let (task, args) = match (job.kind, &job.told) {
        (JobKind::AnalyzeTrack, Some(told)) => ("analysis.analyze_track", json!([track, write_fields(told)])),
        (JobKind::AnalyzeTrack, None) => ("analysis.analyze_track", json!([track])),
        (JobKind::EmbedIfNeeded, _) => ("calculate_vector_if_needed", json!([track])),
        (JobKind::EmbedTrack, Some(told)) => ("calculate_vector", json!([track, write_fields(told)])),
        (JobKind::EmbedTrack, None) => ("vectorization.calculate", json!([track])),
    };
    let mut headers = Map::from_iter([(SUBJECT.into(), job_subject(job.track_id, &job.space, job.kind).into())]);
    if job.space != *default {
        headers.insert(SPACE.into(), job.space.to_string().into());
    }
    let draft = Draft {
        id,
        task,
        args,
        kwargs: json!({}),
        embed: json!({"callbacks": null, "errbacks": null, "chain": null, "chord": null}),
        retries: 0,
        eta,
        expires: None,
        priority: job.priority.level(),
        queue,
        root_id: None,
        headers,
    };
    draft.envelope().to_raw()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};
    use soniquebay_domain::{JobKind, NewJob, Priority, Space, TrackFields, TrackId};

    use super::{Draft, Message, read, write};

    fn space() -> Space {
        Space::parse("m/4").unwrap()
    }

    fn message(task: &str, args: Value, kwargs: Value, embed: Value) -> Message {
        let draft = Draft {
            id: "a",
            task,
            args,
            kwargs,
            embed,
            retries: 0,
            eta: None,
            expires: None,
            priority: 0,
            queue: "vectorization",
            root_id: None,
            headers: serde_json::Map::new(),
        };
        Message::read(&draft.envelope().to_raw()).unwrap()
    }

    #[test]
    fn arguments_come_by_place_or_by_name() {
        for (args, kwargs) in [
            (json!([7, {"title": "A", "bpm": 120}]), json!({})),
            (json!(["7"]), json!({"metadata": {"title": "A", "bpm": "120", "year": "never"}})),
            (json!([]), json!({"track_id": 7, "metadata": {"title": "A", "tempo": 120, "id": 9}})),
        ] {
            for task in ["calculate_vector", "vectorization.calculate"] {
                let job = read(&message(task, args.clone(), kwargs.clone(), json!({})), &space(), 8).unwrap();
                assert_eq!((job.kind, job.track_id.get()), (JobKind::EmbedTrack, 7));
                let told = job.told.unwrap();
                assert_eq!((told.title.as_deref(), told.features.bpm), (Some("A"), Some(120.0)), "{args}");
            }
        }
        let job = read(&message("calculate_vector_if_needed", json!([7]), json!({}), json!({})), &space(), 8).unwrap();
        assert_eq!((job.kind, job.told), (JobKind::EmbedIfNeeded, None));
        let job = read(&message("calculate_vector", json!([7, {"artist": "B"}]), json!({}), json!({})), &space(), 8);
        let told = job.unwrap().told.unwrap();
        assert_eq!((told.title, told.artist.as_deref()), (None, Some("B")), "a message needs no title");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (task, args, kwargs, embed, kind) in [
            ("scan", json!([]), json!({}), json!({}), "NotRegistered"),
            ("calculate_vector", json!([]), json!({}), json!({}), "TypeError"),
            ("calculate_vector", json!([0]), json!({}), json!({}), "TypeError"),
            ("calculate_vector", json!([1, {}, 3]), json!({}), json!({}), "TypeError"),
            ("calculate_vector", json!([1]), json!({"colour": 1}), json!({}), "TypeError"),
            ("calculate_vector_if_needed", json!([1, {}]), json!({}), json!({}), "TypeError"),
            ("calculate_vector", json!([1]), json!({}), json!({"chord": {"task": "x"}}), "InvalidTaskError"),
        ] {
            let failure = read(&message(task, args, kwargs, embed), &space(), 8).unwrap_err();
            assert_eq!(failure.kind, kind, "{task}");
        }
    }

    #[test]
    fn a_job_is_read_as_it_was_written() {
        let told = TrackFields {
            title: Some("Jóga".into()),
            artist: Some("Björk".into()),
            genre_tags: vec!["a".into(), "b".into()],
            year: Some(1997),
            extra: serde_json::Map::from_iter([("rating".to_owned(), json!(5))]),
            ..TrackFields::default()
        };
        let mut job = NewJob {
            kind: JobKind::EmbedTrack,
            track_id: TrackId::new(7).unwrap(),
            space: Space::parse("other/4").unwrap(),
            priority: Priority::Bulk,
            delay: Duration::ZERO,
            told: Some(Box::new(told)),
        };
        let message = Message::read(&write(&job, "a", "vectorization", &space(), None)).unwrap();
        let back = read(&message, &space(), 8).unwrap();
        assert_eq!((back.track_id, &back.space, &back.told), (job.track_id, &job.space, &job.told));
        assert_eq!((message.envelope.priority(), message.task.as_str()), (6, "calculate_vector"));
        job.told = None;
        job.space = space();
        let message = Message::read(&write(&job, "a", "vectorization", &space(), None)).unwrap();
        assert_eq!((message.task.as_str(), message.space(), message.args.len()), ("vectorization.calculate", None, 1));
    }
}
