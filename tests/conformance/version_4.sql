BEGIN TRANSACTION;
CREATE TABLE change (
	change_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	workflow_id TEXT, 
	task_name TEXT, 
	kind TEXT NOT NULL, 
	changed_at TEXT NOT NULL, 
	changed_by TEXT NOT NULL, 
	reason TEXT, 
	input_hash TEXT, 
	record_before INTEGER, 
	record_after INTEGER, 
	hash_before TEXT, 
	hash_after TEXT, 
	records TEXT NOT NULL, 
	undoes INTEGER, 
	detail TEXT
);
INSERT INTO "change" VALUES(1,'claim-1','draft','override','2026-11-28T11:28:48.152027Z','Ada','tone','c415f9c60abbb00b80efe2883ab6febcfe0caf669b3280961352b39a812f35c4',2,4,'4cfa00554070399e4a5335430395854b3be3ecdbed2fd35ba65271f281fcb939','ae108796b8d38f26da1df245c1009ed1ed868d5cafb34cf3a6275d6ec060883f','[2]',NULL,NULL);
CREATE TABLE crew_repo_schema (version integer NOT NULL);
INSERT INTO "crew_repo_schema" VALUES(4);
CREATE TABLE invalidation (
	workflow_id TEXT NOT NULL, 
	task_name TEXT NOT NULL, 
	record_id INTEGER NOT NULL, 
	invalidated_at TEXT NOT NULL, 
	PRIMARY KEY (workflow_id, task_name)
);
CREATE TABLE lease (
	fence INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	workflow_id TEXT NOT NULL, 
	input_hash TEXT NOT NULL, 
	owner TEXT NOT NULL, 
	run_id TEXT NOT NULL, 
	task_name TEXT NOT NULL, 
	position INTEGER NOT NULL, 
	acquired_at TEXT NOT NULL, 
	expires_at TEXT NOT NULL, 
	FOREIGN KEY(run_id) REFERENCES run_entry (run_id)
);
CREATE TABLE record (
	record_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	workflow_id TEXT NOT NULL, 
	crew_name TEXT NOT NULL, 
	task_name TEXT NOT NULL, 
	position INTEGER NOT NULL, 
	run_id TEXT NOT NULL, 
	input_hash TEXT NOT NULL, 
	definition_hash TEXT NOT NULL, 
	context_hash TEXT NOT NULL, 
	occurrence INTEGER NOT NULL, 
	output_hash TEXT NOT NULL, 
	hash_format INTEGER NOT NULL, 
	origin TEXT NOT NULL, 
	retired TEXT, 
	retired_at TEXT, 
	not_restorable TEXT, 
	started_at TEXT NOT NULL, 
	completed_at TEXT NOT NULL, 
	duration_seconds DOUBLE NOT NULL, 
	total_tokens INTEGER NOT NULL, 
	prompt_tokens INTEGER NOT NULL, 
	completion_tokens INTEGER NOT NULL, 
	cached_prompt_tokens INTEGER NOT NULL, 
	successful_requests INTEGER NOT NULL, 
	fence INTEGER, 
	agent TEXT NOT NULL, 
	name TEXT, 
	output_format TEXT NOT NULL, 
	output TEXT NOT NULL, 
	pydantic_json TEXT, 
	json_dict TEXT, 
	description TEXT NOT NULL, 
	expected_output TEXT, 
	messages TEXT, 
	tool_failures TEXT, 
	components TEXT NOT NULL, 
	explanations TEXT NOT NULL, 
	reading TEXT, 
	model TEXT, 
	person TEXT
);
INSERT INTO "record" VALUES(1,'claim-1','claims','extract',0,'run-1','7cdfc5ec29eda1077a74943e9198c04739b6fc87ac0c82712f875e190c7a7315','b6aed71cffbb202894e8b5f841e56281e2e1eaf41b8dbe116ec56daebaabfd94','7f820722e0664e38e86540d5ed505d149653f61771e48ee1bd951beeb0ef539d',0,'79fa9180cdd3e6364d40163767135baf4c0be39b8741628eb06dd559f5b49cd3',1,'model',NULL,NULL,NULL,'2026-11-28T11:28:48.123939Z','2026-11-28T11:28:48.123939Z',1.5,30,20,10,5,1,1,'analyst','extract','raw','policy 42','{"policy":42}',NULL,'',NULL,'[]',NULL,'{"task.description":"283a84900d61bbf875a425e66f12e7c3eb996c7112ad8d7590f79b4560fe16e0","agent.role":"201bd511c4af8ff61ecfb580c972e176203108c9c104b9cfb783d7e836807480"}','{"input:notes":"883095187d42054031fd4d1cd164dfbc9ed747953a660b2239c0cac84b59abed"}',NULL,NULL,NULL);
INSERT INTO "record" VALUES(2,'claim-1','claims','draft',1,'run-1','c415f9c60abbb00b80efe2883ab6febcfe0caf669b3280961352b39a812f35c4','50711744fb0abec7ca38ed36991d4757dad85998277c0b3d902820c0773134d9','7f820722e0664e38e86540d5ed505d149653f61771e48ee1bd951beeb0ef539d',0,'4cfa00554070399e4a5335430395854b3be3ecdbed2fd35ba65271f281fcb939',1,'model','superseded','2026-11-28T11:28:48.152027Z',NULL,'2026-11-28T11:28:48.124069Z','2026-11-28T11:28:48.124069Z',1.5,30,20,10,5,1,2,'analyst','draft','raw','a note','{"policy":42}',NULL,'',NULL,'[]',NULL,'{"task.description":"a4b8b7883c2bcb697bbb9e92ed7bf79d48d683f1c76897feb2d337428e1a9913","agent.role":"201bd511c4af8ff61ecfb580c972e176203108c9c104b9cfb783d7e836807480"}','{"input:notes":"883095187d42054031fd4d1cd164dfbc9ed747953a660b2239c0cac84b59abed"}',NULL,NULL,NULL);
INSERT INTO "record" VALUES(4,'claim-1','claims','draft',1,'run-1','c415f9c60abbb00b80efe2883ab6febcfe0caf669b3280961352b39a812f35c4','50711744fb0abec7ca38ed36991d4757dad85998277c0b3d902820c0773134d9','7f820722e0664e38e86540d5ed505d149653f61771e48ee1bd951beeb0ef539d',0,'ae108796b8d38f26da1df245c1009ed1ed868d5cafb34cf3a6275d6ec060883f',1,'person',NULL,NULL,NULL,'2026-11-28T11:28:48.124069Z','2026-11-28T11:28:48.124069Z',1.5,30,20,10,5,1,NULL,'analyst','draft','raw','a better note','{"policy":42}',NULL,'',NULL,'[]',NULL,'{"task.description":"a4b8b7883c2bcb697bbb9e92ed7bf79d48d683f1c76897feb2d337428e1a9913","agent.role":"201bd511c4af8ff61ecfb580c972e176203108c9c104b9cfb783d7e836807480"}','{"input:notes":"883095187d42054031fd4d1cd164dfbc9ed747953a660b2239c0cac84b59abed"}',NULL,NULL,'Ada');
CREATE TABLE run_entry (
	run_id TEXT NOT NULL, 
	workflow_id TEXT NOT NULL, 
	crew_name TEXT NOT NULL, 
	status TEXT NOT NULL, 
	started_at TEXT NOT NULL, 
	finished_at TEXT, 
	host TEXT, 
	pid INTEGER, 
	owner TEXT NOT NULL, 
	heartbeat_at TEXT NOT NULL, 
	lease_seconds DOUBLE NOT NULL, 
	executed INTEGER NOT NULL, 
	reused INTEGER NOT NULL, 
	failed INTEGER NOT NULL, 
	tokens_spent INTEGER NOT NULL, 
	tokens_saved INTEGER NOT NULL, 
	seconds_saved DOUBLE NOT NULL, 
	error_type TEXT, 
	error_message TEXT, 
	error_traceback TEXT, 
	facts TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	task_names TEXT, 
	ordinal INTEGER NOT NULL, 
	PRIMARY KEY (run_id)
);
INSERT INTO "run_entry" VALUES('run-1','claim-1','claims','completed','2026-11-28T11:28:48.124104Z','2026-11-28T11:28:48.146980Z','a-host',NULL,'a-host:7628:1','2026-11-28T11:28:48.137093Z',60.0,2,0,0,60,0,0.0,NULL,NULL,NULL,'{"crewai":"1.14"}',1,NULL,1);
CREATE TABLE task_run (
	task_run_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	run_id TEXT NOT NULL, 
	workflow_id TEXT NOT NULL, 
	task_name TEXT NOT NULL, 
	position INTEGER NOT NULL, 
	status TEXT NOT NULL, 
	input_hash TEXT, 
	record_id INTEGER, 
	started_at TEXT, 
	finished_at TEXT, 
	duration_seconds DOUBLE, 
	total_tokens INTEGER NOT NULL, 
	prompt_tokens INTEGER NOT NULL, 
	completion_tokens INTEGER NOT NULL, 
	cached_prompt_tokens INTEGER NOT NULL, 
	successful_requests INTEGER NOT NULL, 
	tokens_saved INTEGER NOT NULL, 
	seconds_saved DOUBLE NOT NULL, 
	cleared_at TEXT, 
	reasons TEXT NOT NULL, 
	error_type TEXT, 
	error_message TEXT, 
	error_traceback TEXT, 
	FOREIGN KEY(run_id) REFERENCES run_entry (run_id)
);
INSERT INTO "task_run" VALUES(1,'run-1','claim-1','extract',0,'executed','7cdfc5ec29eda1077a74943e9198c04739b6fc87ac0c82712f875e190c7a7315',1,NULL,'2026-11-28T11:28:48.123939Z',1.5,30,20,10,5,1,0,0.0,NULL,'[]',NULL,NULL,NULL);
INSERT INTO "task_run" VALUES(2,'run-1','claim-1','draft',1,'executed','c415f9c60abbb00b80efe2883ab6febcfe0caf669b3280961352b39a812f35c4',2,NULL,'2026-11-28T11:28:48.124069Z',1.5,30,20,10,5,1,0,0.0,NULL,'[]',NULL,NULL,NULL);
CREATE TABLE text (
	sha256 TEXT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (sha256)
);
INSERT INTO "text" VALUES('201bd511c4af8ff61ecfb580c972e176203108c9c104b9cfb783d7e836807480','analyst');
INSERT INTO "text" VALUES('283a84900d61bbf875a425e66f12e7c3eb996c7112ad8d7590f79b4560fe16e0','Read {notes}');
INSERT INTO "text" VALUES('a4b8b7883c2bcb697bbb9e92ed7bf79d48d683f1c76897feb2d337428e1a9913','Triage {notes}');
CREATE UNIQUE INDEX run_number ON run_entry (number);
CREATE INDEX run_by_workflow ON run_entry (workflow_id, number);
CREATE INDEX run_running ON run_entry (run_id) WHERE status = 'running';
CREATE INDEX record_by_definition ON record (definition_hash, workflow_id) WHERE retired IS NULL;
CREATE INDEX record_by_person ON record (workflow_id) WHERE origin = 'person';
CREATE INDEX record_by_task ON record (workflow_id, task_name, record_id);
CREATE UNIQUE INDEX record_live ON record (input_hash, workflow_id) WHERE retired IS NULL;
CREATE INDEX change_by_task ON change (workflow_id, task_name);
CREATE INDEX change_undone ON change (undoes);
CREATE INDEX task_run_newest ON task_run (workflow_id, task_name, task_run_id) WHERE cleared_at IS NULL;
CREATE UNIQUE INDEX task_run_place ON task_run (run_id, position);
CREATE UNIQUE INDEX lease_work ON lease (workflow_id, input_hash);
CREATE VIEW run_silent AS 
SELECT run_id FROM run_entry
 WHERE status = 'running' AND sqlite_version() <> ''
   AND heartbeat_at < strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-' || lease_seconds || ' seconds');
CREATE VIEW lease_over AS SELECT fence FROM lease WHERE expires_at < strftime('%Y-%m-%dT%H:%M:%f000Z', 'now') AND sqlite_version() <> '';
CREATE VIEW crew_task AS 
SELECT run_entry.workflow_id AS workflow_id, listed.value AS task_name
  FROM run_entry
  CROSS JOIN json_each(CASE WHEN json_valid(run_entry.task_names) THEN run_entry.task_names ELSE '[]' END) AS listed
 WHERE run_entry.number = (SELECT MAX(told.number) FROM run_entry AS told
                            WHERE told.workflow_id = run_entry.workflow_id AND told.task_names IS NOT NULL) AND sqlite_version() <> '';
CREATE VIEW record_inputs AS 
SELECT record.record_id AS record_id,
       (SELECT json_group_object(SUBSTR(part.key, 7), text.body)
          FROM json_each(json_patch(record.components, record.explanations)) AS part
          LEFT JOIN text ON text.sha256 = part.value
         WHERE SUBSTR(part.key, 1, 6) = 'input:') AS inputs
  FROM record
 WHERE json_valid(record.components) AND json_valid(record.explanations) AND sqlite_version() <> '';
CREATE VIEW known_task AS 
SELECT workflow_id, task_name, MAX(task_run_id) AS task_run_id, CAST(NULL AS bigint) AS record_id
  FROM task_run WHERE cleared_at IS NULL GROUP BY workflow_id, task_name
UNION ALL
SELECT workflow_id, task_name, NULL, MAX(record_id)
  FROM record
 WHERE origin = 'person' AND retired IS NULL
   AND NOT EXISTS (SELECT 1 FROM task_run AS noted
                    WHERE noted.workflow_id = record.workflow_id AND noted.task_name = record.task_name
                      AND noted.cleared_at IS NULL)
   AND NOT EXISTS (SELECT 1 FROM lease
                    WHERE lease.workflow_id = record.workflow_id AND lease.task_name = record.task_name)
 GROUP BY workflow_id, task_name
UNION ALL
SELECT workflow_id, task_name, NULL, NULL
  FROM lease WHERE NOT EXISTS (SELECT 1 FROM task_run AS noted
                                WHERE noted.workflow_id = lease.workflow_id AND noted.task_name = lease.task_name
                                  AND noted.cleared_at IS NULL)
 GROUP BY workflow_id, task_name;
CREATE VIEW task_lease AS 
SELECT workflow_id, task_name,
       COALESCE(MAX(CASE WHEN lease_over.fence IS NULL THEN lease.fence END), MAX(lease.fence)) AS fence,
       CASE WHEN COUNT(*) = COUNT(lease_over.fence) THEN 1 ELSE 0 END AS lost
  FROM lease
  LEFT JOIN lease_over ON lease_over.fence = lease.fence
 GROUP BY workflow_id, task_name;
CREATE VIEW run AS 
SELECT run_entry.run_id AS run_id,
       run_entry.workflow_id AS workflow_id,
       run_entry.crew_name AS crew_name,
       CASE WHEN EXISTS (SELECT 1 FROM run_silent WHERE run_silent.run_id = run_entry.run_id)
            THEN 'interrupted' ELSE run_entry.status END AS status,
       run_entry.started_at AS started_at,
       run_entry.finished_at AS finished_at,
       run_entry.host AS host,
       run_entry.pid AS pid,
       run_entry.owner AS owner,
       run_entry.heartbeat_at AS heartbeat_at,
       run_entry.lease_seconds AS lease_seconds,
       CASE WHEN run_entry.status <> 'running' THEN run_entry.executed ELSE
            (SELECT COALESCE(SUM(CASE WHEN done.status = 'executed' AND done.task_name <> '(planner)' THEN 1 ELSE 0 END), 0) FROM task_run AS done WHERE done.run_id = run_entry.run_id) END AS executed,
       CASE WHEN run_entry.status <> 'running' THEN run_entry.reused ELSE
            (SELECT COALESCE(SUM(CASE WHEN done.status = 'reused' AND done.task_name <> '(planner)' THEN 1 ELSE 0 END), 0) FROM task_run AS done WHERE done.run_id = run_entry.run_id) END AS reused,
       CASE WHEN run_entry.status <> 'running' THEN run_entry.failed ELSE
            (SELECT COALESCE(SUM(CASE WHEN done.status = 'failed' AND done.task_name <> '(planner)' THEN 1 ELSE 0 END), 0) FROM task_run AS done WHERE done.run_id = run_entry.run_id) END AS failed,
       CASE WHEN run_entry.status <> 'running' THEN run_entry.tokens_spent ELSE
            (SELECT COALESCE(SUM(done.total_tokens), 0) FROM task_run AS done WHERE done.run_id = run_entry.run_id) END AS tokens_spent,
       CASE WHEN run_entry.status <> 'running' THEN run_entry.tokens_saved ELSE
            (SELECT COALESCE(SUM(done.tokens_saved), 0) FROM task_run AS done WHERE done.run_id = run_entry.run_id) END AS tokens_saved,
       CASE WHEN run_entry.status <> 'running' THEN run_entry.seconds_saved ELSE
            (SELECT COALESCE(SUM(done.seconds_saved), 0) FROM task_run AS done WHERE done.run_id = run_entry.run_id) END AS seconds_saved,
       run_entry.error_type AS error_type,
       run_entry.error_message AS error_message,
       run_entry.error_traceback AS error_traceback,
       run_entry.facts AS facts,
       run_entry.number AS number,
       run_entry.task_names AS task_names,
       run_entry.ordinal AS ordinal
  FROM run_entry;
CREATE VIEW task_state AS 
SELECT named.workflow_id AS workflow_id,
       COALESCE(run.crew_name, record.crew_name) AS crew_name,
       named.task_name AS task_name,
       COALESCE(doing.position, shown.position, record.position) AS position,
       CASE WHEN held.lost = 1 THEN 'interrupted'
            WHEN held.lost = 0 THEN 'running'
            WHEN live.record_id IS NOT NULL THEN 'completed'
            WHEN shown.status NOT IN ('executed', 'reused') THEN shown.status
            WHEN record.retired IN ('invalidated', 'deleted', 'undone') THEN 'invalidated'
            ELSE 'completed' END AS status,
       record.output AS output,
       COALESCE(record.input_hash, SUBSTR(doing.input_hash, 1, 64), shown.input_hash) AS input_hash,
       record.output_hash AS output_hash,
       record.completed_at AS completed_at,
       CASE WHEN held.lost IS NOT NULL OR record.record_id IS NOT NULL THEN record.duration_seconds
            ELSE shown.duration_seconds END AS duration_seconds,
       CASE WHEN held.lost IS NOT NULL OR record.record_id IS NOT NULL THEN record.total_tokens
            WHEN shown.status = 'interrupted' AND shown.duration_seconds IS NULL THEN NULL
            ELSE shown.total_tokens END AS total_tokens,
       CASE WHEN held.lost IS NULL AND live.record_id IS NULL AND shown.error_type IS NOT NULL
            THEN shown.error_type || ': ' || COALESCE(shown.error_message, '') END AS error,
       COALESCE(doing.run_id, shown.run_id, record.run_id) AS run_id,
       record.record_id AS record_id,
       COALESCE(doing.acquired_at, record.started_at, shown.started_at) AS started_at,
       record.model AS model,
       CASE WHEN EXISTS (SELECT 1 FROM crew_task AS listed WHERE listed.workflow_id = named.workflow_id)
            THEN CASE WHEN EXISTS (SELECT 1 FROM crew_task AS listed WHERE listed.workflow_id = named.workflow_id
                                      AND listed.task_name = named.task_name)
                      THEN 1 ELSE 0 END END AS in_crew,
       COALESCE(record.pydantic_json, record.json_dict) AS output_json,
       record.description AS description,
       asked.inputs AS inputs,
       record.origin AS origin,
       record.person AS person
  FROM known_task AS named
  LEFT JOIN task_run AS shown ON shown.task_run_id = named.task_run_id
  LEFT JOIN task_lease AS held ON held.workflow_id = named.workflow_id AND held.task_name = named.task_name
  LEFT JOIN lease AS doing ON doing.fence = held.fence
  LEFT JOIN record AS noted ON noted.record_id = shown.record_id
  LEFT JOIN record AS live
         ON live.input_hash = shown.input_hash AND live.workflow_id = named.workflow_id AND live.retired IS NULL
        AND CASE WHEN shown.status IN ('executed', 'reused') THEN live.origin = 'person' OR noted.retired = 'undone'
                 ELSE live.origin = 'person' AND live.completed_at > COALESCE(shown.finished_at, '') END
  LEFT JOIN record
         ON record.record_id = COALESCE(live.record_id, shown.record_id, named.record_id) AND COALESCE(held.lost, 0) = 0
  LEFT JOIN record_inputs AS asked ON asked.record_id = record.record_id
  LEFT JOIN run_entry AS run ON run.run_id = COALESCE(doing.run_id, shown.run_id);
CREATE TRIGGER task_state_delete INSTEAD OF DELETE ON task_state BEGIN
    
    UPDATE record SET retired = 'deleted', retired_at = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')
     WHERE retired IS NULL
       AND (record_id = OLD.record_id OR (workflow_id = OLD.workflow_id AND (task_name = OLD.task_name
            OR record_id IN (SELECT noted.record_id FROM task_run AS noted
                              WHERE noted.workflow_id = OLD.workflow_id AND noted.task_name = OLD.task_name
                                AND noted.cleared_at IS NULL AND noted.record_id IS NOT NULL))))
       AND record_id NOT IN (SELECT noted.record_id FROM task_run AS noted
                              WHERE noted.workflow_id = OLD.workflow_id AND noted.cleared_at IS NULL
                                AND noted.record_id IS NOT NULL
                              GROUP BY noted.record_id
                             HAVING MAX(noted.task_run_id)
                                  > MAX(CASE WHEN noted.task_name = OLD.task_name THEN noted.task_run_id ELSE 0 END));
    UPDATE task_run SET cleared_at = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')
     WHERE workflow_id = OLD.workflow_id AND task_name = OLD.task_name AND cleared_at IS NULL;
    DELETE FROM lease
     WHERE workflow_id = OLD.workflow_id AND task_name = OLD.task_name AND expires_at < strftime('%Y-%m-%dT%H:%M:%f000Z', 'now');
    DELETE FROM invalidation WHERE workflow_id = OLD.workflow_id AND task_name = OLD.task_name;
    INSERT INTO invalidation (workflow_id, task_name, record_id, invalidated_at)
    SELECT OLD.workflow_id, OLD.task_name, COALESCE(MAX(record_id), 0), strftime('%Y-%m-%dT%H:%M:%f000Z', 'now') FROM record; END;
CREATE TRIGGER task_state_update INSTEAD OF UPDATE ON task_state BEGIN
    SELECT RAISE(ABORT, 'task_state shows what was recorded, and cannot be edited: an answer that was changed by hand is not served. To make a task run again, delete its row. To have another answer served, StateRepository.override gives one'); END;
CREATE TRIGGER task_state_insert INSTEAD OF INSERT ON task_state BEGIN
    SELECT RAISE(ABORT, 'task_state shows what was recorded, and takes no rows: StateRepository.run makes them'); END;
CREATE TRIGGER change_UPDATE BEFORE UPDATE ON change BEGIN
    SELECT RAISE(ABORT, 'change is what people did, and is only added to: StateRepository.undo takes a change back, by an entry'); END;
CREATE TRIGGER change_DELETE BEFORE DELETE ON change BEGIN
    SELECT RAISE(ABORT, 'change is what people did, and is only added to: StateRepository.undo takes a change back, by an entry'); END;
CREATE TRIGGER run_delete INSTEAD OF DELETE ON run BEGIN
    DELETE FROM run_entry WHERE run_id = OLD.run_id; END;
CREATE TRIGGER run_update INSTEAD OF UPDATE ON run BEGIN
    SELECT RAISE(ABORT, 'the status and the sums of a run are worked out when they are read, and cannot be edited; to take a run out of the list, delete its row') WHERE NEW.status IS NOT OLD.status OR NEW.executed IS NOT OLD.executed OR NEW.reused IS NOT OLD.reused OR NEW.failed IS NOT OLD.failed OR NEW.tokens_spent IS NOT OLD.tokens_spent OR NEW.tokens_saved IS NOT OLD.tokens_saved OR NEW.seconds_saved IS NOT OLD.seconds_saved;
    UPDATE run_entry SET run_id = NEW.run_id, workflow_id = NEW.workflow_id, crew_name = NEW.crew_name, started_at = NEW.started_at, finished_at = NEW.finished_at, host = NEW.host, pid = NEW.pid, owner = NEW.owner, heartbeat_at = NEW.heartbeat_at, lease_seconds = NEW.lease_seconds, error_type = NEW.error_type, error_message = NEW.error_message, error_traceback = NEW.error_traceback, facts = NEW.facts, number = NEW.number, task_names = NEW.task_names, ordinal = NEW.ordinal WHERE run_id = OLD.run_id; END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('lease',2);
INSERT INTO "sqlite_sequence" VALUES('record',4);
INSERT INTO "sqlite_sequence" VALUES('task_run',2);
INSERT INTO "sqlite_sequence" VALUES('change',1);
COMMIT;
PRAGMA application_id = 1668441463;
PRAGMA user_version = 4;
