#pragma once

#include <string_view>

namespace ovid::report {

// The page's style sheet. Blue and vermilion are told apart by colour-blind readers too (Okabe and
// Ito 2008, "Color universal design"); dark mode takes lighter tones of the same.
inline constexpr std::string_view kStyle = R"css(
:root{color-scheme:light dark;--paper:#fbfbfa;--card:#fff;--ink:#1c1e21;--soft:#5d636b;
--rule:#e4e5e3;
--train:#0072b2;--valid:#c84f00;--rate:#007a5a;--norm:#9a5a8a;--speed:#5b6ab0;--bad:#b3261e;
--good:#1b7a43;--code:#f3f3f1}
@media(prefers-color-scheme:dark){:root{--paper:#15171a;--card:#1d2024;--ink:#e8e9ea;--soft:#a0a6ae;
--rule:#33373d;--train:#5cb3f0;--valid:#ff9a55;--rate:#4cc9a0;--norm:#d79cc6;--speed:#9aa8f0;
--bad:#ff8a80;--good:#6fd195;--code:#25292e}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,
"Segoe UI",
Roboto,"Helvetica Neue",Arial,sans-serif;font-variant-numeric:tabular-nums}
main{max-width:1080px;margin:0 auto;padding:32px 24px 64px}
h1{font-size:1.9rem;line-height:1.2;margin:0;font-weight:650;letter-spacing:-.015em;
overflow-wrap:anywhere}
h2{font-size:1.05rem;margin:44px 0 12px;font-weight:650}
p{margin:0}
.head{display:flex;gap:14px;align-items:center;flex-wrap:wrap}
.status{font-size:.82rem;font-weight:600;padding:2px 11px;border-radius:99px;border:1px solid}
.done{color:var(--good)}.running{color:var(--train)}.stopped{color:var(--soft)}
.sub{color:var(--soft);margin:6px 0 0}
.bar{height:4px;border-radius:2px;background:var(--rule);margin:18px 0 22px;overflow:hidden}
.bar i{display:block;height:100%;background:var(--train)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(148px,1fr));gap:1px;
background:var(--rule);border:1px solid var(--rule);border-radius:10px;overflow:hidden;margin:0}
.tiles div{background:var(--card);padding:13px 16px}
.tiles dt{color:var(--soft);font-size:.8rem}
.tiles dd{margin:1px 0 0;font-size:1.35rem;font-weight:620;letter-spacing:-.01em;line-height:1.3}
.tiles dd small{display:block;font-size:.8rem;font-weight:400;color:var(--soft);letter-spacing:0}
figure{margin:0;background:var(--card);border:1px solid var(--rule);border-radius:10px;
padding:16px 20px 12px}
figcaption{font-size:.92rem;margin-bottom:14px}
figcaption b{font-weight:620}figcaption span{color:var(--soft)}
.charts{display:grid;gap:16px;grid-template-columns:repeat(auto-fit,minmax(min(290px,100%),1fr));
margin-top:16px}
.plot{position:relative;height:340px;margin:0 8px 22px 46px}
.plot.named{margin-right:92px}
.small .plot{height:150px}
.plot svg{position:absolute;inset:0;width:100%;height:100%;display:block;overflow:hidden}
.plot span{position:absolute;font-size:12px;line-height:1.2;color:var(--soft);white-space:nowrap}
.plot .y{right:100%;transform:translateY(-50%);padding-right:8px}
.plot .x{top:100%;transform:translateX(-50%);padding-top:6px}
.plot .x.last{transform:translateX(-100%)}
.plot .name{left:100%;transform:translateY(-50%);padding-left:9px;font-weight:600;
white-space:normal;
width:96px;color:var(--c)}
.under{display:flex;justify-content:space-between;gap:16px;font-size:12px;color:var(--soft)}
.under>span:first-child{padding-left:46px}
.note{text-align:right}
path{fill:none;stroke:var(--c);vector-effect:non-scaling-stroke;stroke-linejoin:round;
stroke-linecap:round}
.grid{stroke:var(--rule);stroke-width:1}
.line{stroke-width:2}.pale{stroke-width:1;opacity:.4}
.band{fill:var(--c);stroke:none;opacity:.24}
.dot{stroke-width:6}
.mark{stroke-width:1.5;stroke-dasharray:3 4;stroke-linecap:butt;opacity:.75}
.train{--c:var(--train)}.valid{--c:var(--valid)}.rate{--c:var(--rate)}.norm{--c:var(--norm)}
.speed{--c:var(--speed)}.skip{--c:var(--bad)}.resume{--c:var(--soft)}
details{background:var(--card);border:1px solid var(--rule);border-radius:10px;margin:0 0 8px}
summary{cursor:pointer;padding:10px 16px;font-weight:560}
summary small{color:var(--soft);font-weight:400;margin-left:6px;font-size:.85rem}
pre{margin:0;white-space:pre-wrap;overflow-wrap:anywhere;font:13.5px/1.55 ui-monospace,
SFMono-Regular,
Menlo,Consolas,"DejaVu Sans Mono",monospace}
details pre{padding:2px 16px 16px}
.prompt{color:var(--soft)}
.code{background:var(--code);border-radius:8px;padding:11px 14px;margin:4px 0 14px}
.sections{columns:3 280px;column-gap:16px}
.box{break-inside:avoid;background:var(--card);border:1px solid var(--rule);border-radius:10px;
padding:10px 16px 12px;margin:0 0 16px}
.box h3{font-size:.88rem;margin:0 0 4px;font-weight:620}
table{border-collapse:collapse;width:100%;font-size:.86rem}
td,th{padding:3px 12px 3px 0;text-align:left;vertical-align:top;overflow-wrap:anywhere}
th{color:var(--soft);font-weight:400}
.box th{width:46%}
.box td{padding-right:0;text-align:right}
.events{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:8px 16px;
overflow-x:auto}
.events td,.events th{padding:5px 18px 5px 0}
.events td:nth-child(1),.events th:nth-child(1){text-align:right;white-space:nowrap;
overflow-wrap:normal}
.events td:nth-child(2),.events td:nth-child(4){white-space:nowrap;overflow-wrap:normal}
.events td:nth-child(3){min-width:15em}
.events td:nth-child(4){color:var(--soft)}
.bad{color:var(--bad);font-weight:600}
footer{margin-top:44px;color:var(--soft);font-size:.82rem}
@media(max-width:560px){main{padding:20px 14px 48px}h1{font-size:1.5rem}
.tiles{grid-template-columns:repeat(2,1fr)}figure{padding:13px 12px 10px}
.plot{height:260px;margin-left:38px}.plot.named{margin-right:74px}.plot .name{width:78px}
.under{display:block}.under>span:first-child{padding-left:38px}.dot{stroke-width:4.5}.note{
display:block;text-align:left}}
@media print{body{background:#fff}details{break-inside:avoid}}
)css";

}  // namespace ovid::report
