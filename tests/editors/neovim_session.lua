-- One session in Neovim 0.7: diagnostics, a hover, code actions, an edit, the end. Any failure ends with code 1.

local PATIENCE_MS = 240000  -- A busy machine may need minutes for the first index.
local seen = { diagnostics = {} }
local told = {}  -- What the user was told, by the editor and by the server.

local notify = vim.notify
vim.notify = function(message, ...)
  table.insert(told, message)
  return notify(message, ...)
end
vim.lsp.handlers["window/showMessage"] = function(_, params)
  table.insert(told, params.message)
  return params
end

local function server_died()
  for _, message in ipairs(told) do
    if message:find("quit with exit code") then return message end
  end
end

local function await(what, condition)
  local result
  vim.wait(PATIENCE_MS, function()
    result = condition()
    return result or server_died()
  end, 20)
  if not result then
    error(("no %s; the editor said: %s"):format(what, table.concat(told, "; ")))
  end
  return result
end

local function finding(line_text)
  for _, item in ipairs(vim.diagnostic.get(0)) do
    local line = vim.api.nvim_buf_get_lines(0, item.lnum, item.lnum + 1, false)[1] or ""
    if item.source == "polyclone" and (line_text == nil or line:find(line_text, 1, true)) then return item end
  end
end

local function floating_text()
  for _, window in ipairs(vim.api.nvim_list_wins()) do
    if vim.api.nvim_win_get_config(window).relative ~= "" then
      local lines = vim.api.nvim_buf_get_lines(vim.api.nvim_win_get_buf(window), 0, -1, false)
      return table.concat(lines, "\n")
    end
  end
end

-- Runs the code action whose title begins so, as a user who picks it from the list.
local function act(beginning)
  local offered
  vim.ui.select = function(items, options, choose)
    offered = vim.tbl_map(options.format_item, items)
    for number, title in ipairs(offered) do
      if vim.startswith(title, beginning) then return choose(items[number]) end
    end
  end
  vim.lsp.buf.code_action()
  await("list of code actions", function() return offered end)
  return offered
end

local function session()
  for _, file in ipairs({
    "analytics/geo.py", "billing/due_dates.rb", "courier/Frames.kt", "erp/WorkCalendar.cs", "routing/retry.rs",
    "scanner/frame.c", "storefront/slug.ts", "warehouse/BinLabels.java", "payments/card.go",
  }) do
    vim.cmd("edit " .. file)
    local item = await("diagnostic in " .. file, finding)
    seen.diagnostics[file] = { message = item.message, severity = item.severity }
  end
  seen.clients = #vim.lsp.get_active_clients()

  local item = finding("func IsValidCardNumber")
  vim.api.nvim_win_set_cursor(0, { item.lnum + 1, item.col + 1 })
  vim.lsp.buf.hover()
  seen.hover = await("hover", floating_text)

  seen.actions = act("Go to ")
  seen.place = await("place of the clone", function()
    for _, message in ipairs(told) do
      if message:find(" is at ", 1, true) then return message end
    end
  end)

  act("Ignore this pair: Ruby")
  seen.ignored = await("diagnostic without the ignored pair", function()
    local now = finding("func IsValidCardNumber")
    return now and now.message ~= item.message and now.message
  end)

  -- The body of another function: what is found now has to be found anew.
  local lines = vim.api.nvim_buf_get_lines(0, 0, -1, false)
  local other = vim.fn.readfile("payments/slots.go")
  local function body(of, name)
    local first
    for number, line in ipairs(of) do
      if vim.startswith(line, "func " .. name) then first = number end
      if first and line == "}" then return first, number end
    end
  end
  local from, to = body(lines, "IsValidCardNumber")
  local other_from, other_to = body(other, "MergeIntervals")
  vim.api.nvim_buf_set_lines(0, from - 1, to, false, vim.list_slice(other, other_from, other_to))
  -- What was shown before stays until then, at the same line: only another text is news.
  seen.edited = await("finding in the edited text", function()
    local now = finding("func MergeIntervals")
    return now and now.message ~= seen.ignored and now.message
  end)
  seen.old_after_edit = finding("func IsValidCardNumber") ~= nil

  local client = vim.lsp.get_active_clients()[1]
  client.stop()
  await("end of the server", client.is_stopped)
  seen.told = told
  vim.fn.writefile({ vim.fn.json_encode(seen) }, os.getenv("POLYCLONE_SEEN"))
end

local fine, message = xpcall(session, debug.traceback)
if not fine then
  io.stderr:write("the session failed: " .. tostring(message) .. "\n")
  vim.cmd("cquit 1")
end
vim.cmd("qall!")
