//! What long help says after the flags.

pub(super) const PROBE_HELP: &str = "\
With one of --duration, --size, --frames, --frame-rate, --codec, --bit-rate and --container, that fact alone is printed, on one line, for
scripts. What the file does not state is an error, with exit status 1.

Examples:
  millrace probe holiday.mov
  millrace probe holiday.mov --json
  millrace probe --duration holiday.mov                    12.480
  millrace probe --size s3://videos/in/holiday.mov         1920x1080";

pub(super) const THUMBNAIL_HELP: &str = "\
The picture is the one that is shown at --at: the last whose time is at or before it, to the millisecond, counted from the start
of the source. Without --at it is the best of 12 near the start. It is upright, of square pixels and of the standard range, and never
enlarged. Only the index is read, and from the keyframe before; also from a bucket or a web server.

The format is that of the extension: .jpg, .jpeg, .png or .webp.

Examples:
  millrace thumbnail holiday.mov --output holiday.jpg
  millrace thumbnail holiday.mov --output holiday.png --at 00:01:30.5 --width 1280
  millrace thumbnail s3://videos/in/a.mov --output s3://videos/out/a.webp --at 60 --best 10
  millrace thumbnail holiday.mov --at 3s --output - | magick - -negate negative.png";

pub(super) const GIF_HELP: &str = "\
All pictures of a GIF share one palette. The format is that of the extension: .gif or .webp.

Examples:
  millrace gif holiday.mov --output holiday.gif                              the first three seconds
  millrace gif holiday.mov --output holiday.gif --from 00:01:30 --to 00:01:34
  millrace gif holiday.mov --output holiday.webp --from 90s --duration 5s --width 640 --fps 20
  millrace gif s3://videos/in/a.mov --output - --loop 1 > once.gif";

pub(super) const CLIP_HELP: &str = "\
The clip shows the pictures from --from up to --to, and no others. Packets are copied as they are; only pictures from --from up to
the next keyframe are encoded, and at --to a few whose neighbours lie behind it: with the codec, size and colour of the source, and
headers of their own beside the source's. This works for H.264. Of other codecs a clip begins at a keyframe: if there is none at
--from, the keyframes before and behind are named, and nothing is made. Sound is copied. In mp4 and mov it begins and ends at the
sample, by edit lists; elsewhere with the first whole packet. --from-keyframe encodes nothing.

Examples:
  millrace clip holiday.mov --output start.mp4 --to 30s
  millrace clip holiday.mov --output part.mkv --from 00:01:30 --to 00:02:00 --from-keyframe";

pub(super) const VERIFY_HELP: &str = "\
What must hold: as many pictures, each in its time within a tick and a half of the coarser clock; decoding times that increase;
no errors; size, sample aspect, colour and fields; sound as long as the source's within two codec frames, begun as far from the
first picture within 30 ms, without a hole of its own; all sound and text tracks, chapters and the title, where the container
holds them. With --pictures each picture looks like its own source picture (20 dB of PSNR at least) and not like its
neighbours'; with --sound each second sounds like its own (correlation of 0.75 at least), within 8 ms and 1.5 dB.

With --profile it is held to what the profile makes of the source: of a part (source.trim) to that part, of several encodings of audio
to the track of each. Pictures under a watermark are not compared one by one, and it says so.

A package is named by its main manifest (master.m3u8 or manifest.mpd). Its list and its manifests are read strictly: each object is
there with its size, listed and named; each segment is at the time, and as long, as manifests state. Each track is then judged as a file,
smaller sizes by their own names. Its objects are copied into a temporary folder for that.

Exit status:
  0  all of it holds
  1  something does not, or can't be read
  2  the call was wrong

Examples:
  millrace verify holiday.mov out/holiday.mp4
  millrace verify holiday.mov out/holiday.mp4 --pictures --sound
  millrace verify holiday.mov out/holiday.mp4 --profile web
  millrace verify holiday.mov out/holiday/master.m3u8
  millrace verify s3://videos/in/a.mov s3://videos/out/a.mp4 --json";

pub(super) const RUN_HELP: &str = "\
Each INPUT becomes OUTPUT/<name>.<format>. An output appears when it is whole and proven, and not before. Called again
after an interruption, a crash or kill -9, the same command goes on where it was; after a success it checks that the
outputs are still there and makes what is missing; after a failure it tries again and keeps what was made.

All that a source holds goes over, as far as the format holds it; docs/exactness.md has the list. What is damaged is made as far as
it can be decoded, and warned of; with --strict it fails.

With --json, stdout gets one line for each input as it ends:
  {\"execution\", \"source\", \"state\": \"succeeded\"|\"failed\"|\"cancelled\", \"reason\", \"outputs\": [{\"url\", \"format\", \"bytes\",
   \"duration_seconds\", \"video\", \"audio\", …}], \"segments\", \"segments_reused\", \"elapsed_seconds\", \"warnings\"}

Exit status:
  0  all inputs succeeded
  1  some failed, the others are done
  2  the call was wrong, and nothing was begun
  130  interrupted (Ctrl-C); the same command goes on

Examples:
  millrace run holiday.mov --output out
  millrace run holiday.mov --output out -f mp4 -f flv --segment-time 5
  millrace run films/ --output out --json > results.jsonl
  millrace run holiday.mov --output out --profile web            what the profile says; 'millrace profiles' has more
  millrace run s3://videos/in/holiday.mov --output s3://videos/out     with AWS_* variables; also gs:// and az://
  millrace run 'https://host/holiday.mov?sig=…' --output out             from a web server that serves ranges";

pub(super) const SERVE_HELP: &str = "\
Processors are stateless: start as many processes as there is work, on as many machines, and stop them when there is less.
What a process had begun when it died is done again by another. SIGTERM takes no more work, finishes what was begun within
--grace, commits and leaves; a second signal leaves at once.

Whoever asks, sources are read below --source-root, outputs written below --output-root, and nowhere else; what is watched counts as both
(docs/security.md).

--profiles names a folder of profiles: each NAME.toml in it is the profile NAME of uploads and watches. What changes there is in force from
the next upload on; a faulty file is warned of, and its last good version stays in force (docs/profiles.md).

GET /healthz says that the process lives, /readyz that it works, /metrics tells Prometheus (docs/metrics.md). Programs submit,
follow and cancel executions at /v1 (docs/api.md).

Examples:
  millrace serve --data /var/lib/millrace --source-root /mnt/in --output-root /mnt/out      alone, without a broker
  millrace topology --apply --brokers kafka:9092                        once for a cluster
  millrace serve --brokers kafka:9092 --work file:///mnt/work --source-root /mnt/in --output-root /mnt/out      all processors
  millrace serve --brokers kafka:9092 --work file:///mnt/work --processors transcode --jobs 8
  millrace serve --data /var/lib/millrace --watch /mnt/nas/in=/mnt/nas/out      what is put into a folder
  millrace serve --data /var/lib/millrace --profiles /etc/millrace/profiles --source-root /mnt/in --output-root /mnt/out
  millrace serve --config /etc/millrace.toml --instance worker-3        docs/cluster.md has all settings";

pub(super) const SUBMIT_HELP: &str = "\
Examples:
  millrace submit holiday.mov --output out --wait
  millrace submit films/*.mov --output file:///mnt/nas/out -f mp4 -f flv --brokers kafka:9092
  millrace submit a.mov --output out --name friday-17            the second time nothing is made twice
  echo '{\"source\": \"file:///in/a.mov\", \"output_prefix\": \"file:///out\"}' | millrace submit --record -";

pub(super) const PROFILES_HELP: &str = "\
A profile says which outputs are made of a source, and what their video and audio are to be. docs/profiles.md has a page for each key.
A folder that --profiles names has profiles of yours: each NAME.toml in it is the profile NAME. A version is a hash of what a profile
says; NAME@VERSION asks for exactly that.

Exit status of check: 0 if it is right, 1 if not; of list: 1 if one of yours is faulty; of diff: 0 if they say the same, 1 if not.

Examples:
  millrace profiles list
  millrace profiles list --profiles /etc/millrace/profiles
  millrace profiles show web > ours.toml
  millrace profiles check ours.toml
  millrace profiles check ours.toml --source holiday.mov         what would be made, and of how many renditions
  millrace profiles diff web ours.toml
  millrace run holiday.mov --output out --profile ours.toml";

pub(super) const REPLAY_HELP: &str = "\
Examples:
  millrace replay uploads --since 2026-11-20T00:00Z              makes what is missing, keeps what is there
  millrace replay uploads --execution 5e2ea7
  millrace replay segments --execution 5e2ea7";

pub(super) const EXECUTIONS_HELP: &str = "\
An execution is one video on its way to its outputs. It is named by its id, or the first characters of it.

Examples:
  millrace executions list
  millrace executions logs 5e2ea7                      all that was said about it, also by media processes
  millrace executions cancel 5e2ea7 --reason 'wrong cut'
  millrace executions retry 5e2ea7                     makes what is missing";

pub(super) const DEAD_HELP: &str = "\
A record that can't be processed is set aside as it was, with the reason, and its partition goes on.

Examples:
  millrace dead list
  millrace dead show 2:14                              as JSON where it is a record, else its bytes
  millrace dead retry 2:14                             once what was wrong is put right
  millrace dead retry --all";

pub(super) const CLEANUP_HELP: &str = "\
Examples:
  millrace cleanup --dry-run
  millrace cleanup --dry-run --brokers kafka:9092 --work s3://bucket/work";
