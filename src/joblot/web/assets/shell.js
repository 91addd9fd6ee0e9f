// What every page runs: the switches of the header, the keys, the times.

import { startKeys } from "./keys.js";
import { startMenus } from "./menus.js";
import { startTimes } from "./times.js";
import { startPreferences } from "./preferences.js";
import { startPrint } from "./print.js";

startPreferences();
startTimes();
startKeys();
startPrint();
startMenus();
