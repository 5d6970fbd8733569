;;; emacs_session.el --- One session in batch Emacs with Eglot  -*- lexical-binding: t -*-

;; Diagnostics, a hover, a code action, an edit, the end.  Any error ends batch Emacs with a code that is not 0.

;;; Code:

(require 'eglot)
(require 'flymake)
(require 'json)

(defvar session-patience-s 240 "A busy machine may need minutes for the first index.")
(defvar session-root default-directory)
(defvar session-seen nil "What was seen, as an alist.")

(setq eglot-sync-connect t
      eglot-connect-timeout session-patience-s
      eglot-autoreconnect nil)

(defun session-note (key value)
  "Keep VALUE under KEY."
  (push (cons key value) session-seen)
  value)

(defun session-await (what condition)
  "The first value of CONDITION that is not nil; an error that names WHAT if there is none."
  (let ((end (+ (float-time) session-patience-s)) value)
    (while (not (or (setq value (funcall condition)) (> (float-time) end)))
      (unless (eglot-current-server) (error "The server is gone"))
      ;; Batch Emacs is never idle: what waits for that is asked for here.
      (accept-process-output nil 0.05)
      (flymake-start))
    (or value (error "No %s" what))))

(defun session-finding (&optional unlike)
  "The text of this buffer's diagnostic; nil if there is none, or it is UNLIKE's."
  (when-let* ((diagnostic (car (flymake-diagnostics)))
              (text (flymake-diagnostic-text diagnostic)))
    (unless (equal text unlike) text)))

(defun session-open (file)
  "Visit FILE of the workspace and wait for what is found in it."
  (find-file (expand-file-name file session-root))
  (unless (eglot-current-server) (call-interactively #'eglot))
  (session-await (format "diagnostic in %s" file) #'session-finding))

(defun session-hover ()
  "What Eldoc would show at point."
  (let (shown)
    (eglot-hover-eldoc-function (lambda (text &rest _) (setq shown text)))
    (substring-no-properties (session-await "hover" (lambda () shown)))))

(defun session-act (beginning)
  "Pick the code action at point whose title begins with BEGINNING."
  (let (offered (last-nonmenu-event t))
    (cl-letf (((symbol-function 'completing-read)
               (lambda (_prompt items &rest _)
                 (setq offered (mapcar #'car items))
                 (cl-find-if (lambda (title) (string-prefix-p beginning title)) offered))))
      (call-interactively #'eglot-code-actions))
    (vconcat offered)))

(defun session-end (server)
  "Stop SERVER as `eglot-shutdown' does, and wait for its end longer than that would."
  (jsonrpc-request server :shutdown nil)
  (jsonrpc-notify server :exit nil)
  (let ((end (+ (float-time) session-patience-s)))
    (while (jsonrpc-running-p server)
      (when (> (float-time) end) (error "The server does not end"))
      (accept-process-output nil 0.05))))

(let (found server)
  (dolist (file '("scanner/frame.c" "warehouse/BinLabels.java" "billing/due_dates.rb" "analytics/geo.py"))
    (push (cons (intern file) (session-open file)) found)
    (cl-pushnew (eglot-current-server) server))
  (session-note 'diagnostics found)
  (session-note 'servers (length server))
  (let* ((diagnostic (car (flymake-diagnostics)))
         (spec (cdr (assq 'eglot-lsp-diag (flymake-diagnostic-data diagnostic)))))
    (session-note 'severity (plist-get spec :severity))
    (goto-char (flymake-diagnostic-beg diagnostic)))
  (session-note 'hover (session-hover))

  ;; A function of another file in place of this one.
  (let ((before (session-finding)))
    (erase-buffer)
    (insert-file-contents "matching.py")
    (eglot--signal-textDocument/didChange)
    (session-note 'edited (session-await "finding in the edited text" (lambda () (session-finding before)))))

  (goto-char (flymake-diagnostic-beg (car (flymake-diagnostics))))
  (let ((before (session-finding)))
    (session-note 'actions (session-act "Ignore this pair: Java"))
    (session-note 'ignored (session-await "diagnostic without the pair" (lambda () (session-finding before)))))

  (set-buffer-modified-p nil)
  (session-end (car server))
  (with-temp-file (getenv "POLYCLONE_SEEN")
    (insert (json-encode session-seen))))

;;; emacs_session.el ends here
