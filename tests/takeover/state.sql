-- The database of build 6b09793 after one fetch; @HOME@ stands for the home it was made in.
PRAGMA user_version = 2;
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE origin (
    origin INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    folder TEXT NOT NULL,
    generation INTEGER NOT NULL,
    UNIQUE (account, folder, generation)
);
INSERT INTO origin VALUES(1,'me','INBOX',1);
CREATE TABLE seen (
    origin INTEGER NOT NULL,
    id BLOB NOT NULL,
    mark INTEGER NOT NULL,
    announced INTEGER NOT NULL,
    head_hash BLOB,
    at INTEGER NOT NULL,
    missing_since INTEGER,
    PRIMARY KEY (origin, id)
) WITHOUT ROWID;
INSERT INTO seen VALUES(1,X'31',0,149,X'5d34736d2e65fdea86f8e90ba5e03dc3',1795899150,NULL);
INSERT INTO seen VALUES(1,X'32',0,155,X'5cc37d82389660ec9dce8c98eeaf5874',1795899150,NULL);
INSERT INTO seen VALUES(1,X'33',0,158,X'0c9e130297ef244dd9115b4d750b9e9b',1795899150,NULL);
INSERT INTO seen VALUES(1,X'34',0,164,X'5f7da20c6ff4ad44c794088cc1741f8f',1795899150,NULL);
INSERT INTO seen VALUES(1,X'35',0,152,X'3e1eb45afefb7381d37aca92856c2de8',1795899150,NULL);
INSERT INTO seen VALUES(1,X'36',0,161,X'6a83f4716076f92d415593f52e260632',1795899150,NULL);
CREATE TABLE journal (
    entry INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    origin INTEGER NOT NULL,
    id BLOB NOT NULL,
    sender TEXT NOT NULL,
    subject TEXT NOT NULL,
    message_id TEXT NOT NULL,
    size INTEGER NOT NULL,
    rule TEXT NOT NULL,
    why TEXT NOT NULL,
    outcome TEXT NOT NULL,
    spooled TEXT,
    done INTEGER NOT NULL
, notes TEXT NOT NULL DEFAULT '');
INSERT INTO journal VALUES(1,1795899150,1,X'31','ann@far.example','kept','<kept@far.example>',142,'(no rule)','','keep INBOX',NULL,1,'');
INSERT INTO journal VALUES(2,1795899150,1,X'32','ann@far.example','listed','<listed@far.example>',148,'lists','Subject is "listed"','fileinto lists/rust',NULL,1,'');
INSERT INTO journal VALUES(3,1795899150,1,X'33','ann@far.example','rubbish','<rubbish@far.example>',151,'rubbish','Subject is "rubbish"','discard','@HOME@/state/spool/zw6m6yuc2x2d6phi2m4py7qaga-e5cmzui',1,'');
INSERT INTO journal VALUES(4,1795899150,1,X'34','ann@far.example','forwarded','<forwarded@far.example>',157,'forward','Subject is "forwarded"','redirect you@far.example','@HOME@/state/spool/vddxa2zfksix52ecmu57k6uhyq-e5cmzui',1,'');
INSERT INTO journal VALUES(5,1795899150,1,X'35','ann@far.example','boxed','<boxed@far.example>',145,'box','Subject is "boxed"','fileinto mbox boxes/one',NULL,1,'');
INSERT INTO journal VALUES(6,1795899150,1,X'36','ann@far.example','kept too','<kept-too@far.example>',154,'(no rule)','','keep INBOX',NULL,1,'');
CREATE TABLE attempt (
    origin INTEGER NOT NULL,
    id BLOB NOT NULL,
    count INTEGER NOT NULL,
    cause TEXT NOT NULL,
    at INTEGER NOT NULL, trouble INTEGER NOT NULL DEFAULT 0, first INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (origin, id)
) WITHOUT ROWID;
CREATE TABLE seen_key (
    handle TEXT NOT NULL,
    key TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (handle, key)
) WITHOUT ROWID;
CREATE TABLE list_entry (
    list TEXT NOT NULL,
    entry TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (list, entry)
) WITHOUT ROWID;
CREATE TABLE answered (
    handle TEXT NOT NULL,
    sender TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (handle, sender)
) WITHOUT ROWID;
CREATE TABLE first_look (
    account TEXT NOT NULL,
    folder TEXT NOT NULL,
    generation INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (account, folder, generation)
) WITHOUT ROWID;
INSERT INTO first_look VALUES('me','INBOX',1,1795899150);
CREATE TABLE counter (
    counter TEXT PRIMARY KEY,
    last INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY,
    entry INTEGER NOT NULL,
    n INTEGER NOT NULL,
    kind TEXT NOT NULL,
    telling TEXT NOT NULL,
    bytes TEXT NOT NULL,
    state INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    due INTEGER NOT NULL,
    at INTEGER NOT NULL,
    -- What the relay or the program said last, and when.
    said TEXT NOT NULL DEFAULT '',
    changed INTEGER NOT NULL DEFAULT 0,
    UNIQUE (entry, n)
);
INSERT INTO outbox VALUES(1,4,0,'redirect','{"version":0,"relay":null,"way":{"redirect":{"to":["you@far.example"],"mode":"redirect","envelope_from":"default"}}}','@HOME@/state/spool/vddxa2zfksix52ecmu57k6uhyq-e5cmzui',0,0,1795899150,1795899150,'',0);
CREATE TABLE rest (
    relay TEXT NOT NULL,
    sender TEXT NOT NULL,
    until INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    cause TEXT NOT NULL,
    PRIMARY KEY (relay, sender)
) WITHOUT ROWID;
CREATE TABLE mbox (
    entry INTEGER NOT NULL,
    file TEXT NOT NULL,
    spool TEXT NOT NULL,
    staged TEXT NOT NULL,
    line TEXT NOT NULL,
    PRIMARY KEY (entry, staged)
) WITHOUT ROWID;
INSERT INTO mbox VALUES(5,'@HOME@/Mail/boxes/one','@HOME@/state/spool/mbox','1795899150.4yqw2ezhuftfpblk4ox2ys25xy-e5cmzui.host,M=0','From ann@far.example Sat Nov 28 20:52:30 2026 1795899150.4yqw2ezhuftfpblk4ox2ys25xy-e5cmzui.host,M=0');
CREATE TABLE IF NOT EXISTS "target" (
    entry INTEGER NOT NULL,
    maildir TEXT NOT NULL,
    staged TEXT NOT NULL,
    info TEXT NOT NULL,
    PRIMARY KEY (entry, maildir, staged)
) WITHOUT ROWID;
INSERT INTO target VALUES(1,'@HOME@/Mail/INBOX','1795899150.zemt2tyefcdrcg7lzy6wdxafz4-e5cmzui.host','');
INSERT INTO target VALUES(2,'@HOME@/Mail/lists/rust','1795899150.a7q7vtws7kjnyjcdv7kmp7evbm-e5cmzui.host','');
INSERT INTO target VALUES(6,'@HOME@/Mail/INBOX','1795899150.uhqvkwitgbxdurkihs4tslcj6i-e5cmzui.host','');
CREATE INDEX journal_unfinished ON journal (done) WHERE done = 0;
CREATE INDEX journal_spooled ON journal (at) WHERE spooled IS NOT NULL;
CREATE INDEX seen_key_until ON seen_key (handle, until);
CREATE INDEX answered_at ON answered (handle, at);
CREATE INDEX outbox_due ON outbox (state, due);
CREATE INDEX journal_spooled_file ON journal (spooled) WHERE spooled IS NOT NULL;
CREATE INDEX outbox_bytes ON outbox (bytes);
CREATE INDEX outbox_sent ON outbox (state, kind, changed);
COMMIT;
