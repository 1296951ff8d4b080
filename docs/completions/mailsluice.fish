complete --keep-order --exclusive --command mailsluice --arguments "(MAILSLUICE_COMPLETE=fish mailsluice -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"
