// The modest set of emoji names the page can draw; unknown names stay text.

const LINES = `
+1 👍|-1 👎|thumbsup 👍|thumbsdown 👎|ok_hand 👌|raised_hands 🙌|clap 👏|pray 🙏|wave 👋|raised_hand ✋|point_right 👉
point_up 👆|point_down 👇|muscle 💪|eyes 👀|thinking_face 🤔|smile 😄|slightly_smiling_face 🙂|sweat_smile 😅|tada 🎉
white_check_mark ✅|heavy_check_mark ✔️|ballot_box_with_check ☑️|x ❌|negative_squared_cross_mark ❎|no_entry ⛔
no_entry_sign 🚫|octagonal_sign 🛑|stop_sign 🛑|warning ⚠️|rotating_light 🚨|fire 🔥|boom 💥|bug 🐛|ambulance 🚑
red_circle 🔴|large_red_circle 🔴|large_orange_circle 🟠|large_yellow_circle 🟡|large_green_circle 🟢|large_blue_circle 🔵
large_purple_circle 🟣|white_circle ⚪|black_circle ⚫|large_red_square 🟥|large_yellow_square 🟨|large_green_square 🟩
large_blue_square 🟦|white_large_square ⬜|black_large_square ⬛|small_red_triangle 🔺|small_blue_diamond 🔹
arrow_forward ▶️|arrow_right ➡️|arrow_left ⬅️|arrow_up ⬆️|arrow_down ⬇️|arrow_right_hook ↪️|leftwards_arrow_with_hook ↩️
arrows_counterclockwise 🔄|arrows_clockwise 🔃|repeat 🔁|repeat_one 🔂|fast_forward ⏩|rewind ⏪
black_right_pointing_triangle_with_double_vertical_bar ⏯️|double_vertical_bar ⏸️|pause_button ⏸️
black_square_for_stop ⏹️|stop_button ⏹️|hourglass ⌛|hourglass_flowing_sand ⏳|stopwatch ⏱️|timer_clock ⏲️
alarm_clock ⏰|clock1 🕐|clock3 🕒|watch ⌚|calendar 📆|date 📅|spiral_calendar_pad 🗓️|zzz 💤|sleeping 😴|bell 🔔
no_bell 🔕|mute 🔇|loudspeaker 📢|mega 📣|speech_balloon 💬|thought_balloon 💭|envelope ✉️|inbox_tray 📥|outbox_tray 📤
incoming_envelope 📨|memo 📝|pencil 📝|pencil2 ✏️|clipboard 📋|page_facing_up 📄|scroll 📜|bookmark 🔖|label 🏷️
link 🔗|paperclip 📎|pushpin 📌|round_pushpin 📍|mag 🔍|mag_right 🔎|lock 🔒|unlock 🔓|key 🔑|closed_lock_with_key 🔐
shield 🛡️|gear ⚙️|wrench 🔧|hammer 🔨|hammer_and_wrench 🛠️|nut_and_bolt 🔩|toolbox 🧰|package 📦|rocket 🚀
construction 🚧|electric_plug 🔌|battery 🔋|bulb 💡|robot_face 🤖|computer 💻|desktop_computer 🖥️|satellite_antenna 📡
bar_chart 📊|chart_with_upwards_trend 📈|chart_with_downwards_trend 📉|crystal_ball 🔮|question ❓|grey_question ❔
exclamation ❗|grey_exclamation ❕|information_source ℹ️|bangbang ‼️|heavy_plus_sign ➕|heavy_minus_sign ➖|new 🆕|ok 🆗
sos 🆘|free 🆓|up 🆙|star ⭐|sparkles ✨|zap ⚡|cloud ☁️|thunder_cloud_and_rain ⛈️|sunny ☀️|snowflake ❄️|seedling 🌱
bust_in_silhouette 👤|busts_in_silhouette 👥|technologist 🧑‍💻|handshake 🤝|trophy 🏆|checkered_flag 🏁
triangular_flag_on_post 🚩|white_flag 🏳️|wastebasket 🗑️|broom 🧹|recycle ♻️|anchor ⚓|heart ❤️|green_heart 💚
twisted_rightwards_arrows 🔀|thread 🧵|gift 🎁|coffee ☕|one 1️⃣|two 2️⃣|three 3️⃣|four 4️⃣|five 5️⃣|100 💯
`;

const signs = new Map(LINES.trim().split(/[|\n]/).map((pair) => pair.split(' ')));

/** The sign for an emoji name without its colons, or undefined. */
export function emojiSign(name) {
  return signs.get(name);
}
