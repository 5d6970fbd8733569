/** A problem with the server, told with a button for each remedy. */
import type { Problem, Remedy } from "./server/launch";
import type { Ui } from "./ui";

const BUTTONS: Readonly<Record<Remedy, string>> = {
  settings: "Open Settings",
  interpreter: "Select Interpreter",
  install: "Copy Install Command",
  logs: "Show Logs",
  restart: "Restart Server",
  trust: "Manage Trust",
};

const INSTALL = "python -m pip install polyclone";

/** Effect: shows the problem and does what the person chooses. */
export async function tell(problem: Problem, ui: Ui): Promise<void> {
  const chosen = await ui.error(problem.message, ...problem.remedies.map((remedy) => BUTTONS[remedy]));
  const remedy = problem.remedies.find((candidate) => BUTTONS[candidate] === chosen);
  if (remedy) {
    await apply(remedy, problem, ui);
  }
}

async function apply(remedy: Remedy, problem: Problem, ui: Ui): Promise<void> {
  switch (remedy) {
    case "settings":
      await ui.execute("workbench.action.openSettings", problem.setting ?? "polyclone");
      break;
    case "interpreter":
      await selectInterpreter(ui);
      break;
    case "install":
      await ui.copy(INSTALL);
      await ui.info(`Copied: ${INSTALL}`);
      break;
    case "logs":
      await ui.execute("polyclone.showLogs");
      break;
    case "restart":
      await ui.execute("polyclone.restart");
      break;
    case "trust":
      await ui.execute("workbench.trust.manage");
      break;
  }
}

/** The Python extension's own picker; without that extension, the setting. */
async function selectInterpreter(ui: Ui): Promise<void> {
  try {
    await ui.execute("python.setInterpreter");
  } catch {
    await ui.execute("workbench.action.openSettings", "polyclone.interpreter");
  }
}
